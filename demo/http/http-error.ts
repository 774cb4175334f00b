interface HttpErrorOptions {
  /** Name, value, name, value …, as in a reply. */
  headers?: string[];
  /** The form field that the sentence is about. The page shows it beside that field. */
  field?: string;
}

/** An error reply: its status, and a sentence for the client. `error-reply.ts` makes the reply. */
export class HttpError extends Error {
  readonly status: number;
  readonly headers: string[];
  readonly field: string | undefined;

  constructor(status: number, sentence: string, { headers = [], field }: HttpErrorOptions = {}) {
    super(sentence);
    this.status = status;
    this.headers = headers;
    this.field = field;
  }
}
