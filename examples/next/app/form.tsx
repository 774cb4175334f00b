"use client";

import { type ReactNode, useActionState } from "react";
import type { ActionResult } from "./actions";

interface FormProps {
  action: (previous: ActionResult, form: FormData) => Promise<ActionResult>;
  children: ReactNode;
}

/** A form of an action, and the error that the action returned. It works without JavaScript too. */
export function Form({ action, children }: FormProps) {
  const [{ error }, send] = useActionState(action, {});
  return (
    <form action={send}>
      {children}
      {error && <p role="alert">{error}</p>}
    </form>
  );
}
