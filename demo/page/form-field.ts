/** Why a form was refused. */
export interface Mistake {
  message: string;
  /** Undefined if it is about the session and not about what was typed. */
  field: string | undefined;
}

/** The value of a form field, and what is wrong with it; empty if nothing is. */
export interface FormField {
  value: string | number;
  mistake: string;
}

export const formField = (name: string, value: string | number, mistake: Mistake | undefined): FormField => ({
  value,
  mistake: mistakeIn(name, mistake),
});

export const mistakeIn = (name: string, mistake: Mistake | undefined) =>
  mistake?.field === name ? mistake.message : "";
