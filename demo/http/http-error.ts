import type { Header } from "./headers.ts";

interface HttpErrorOptions {
  headers?: Header[];
  /** The form field that the sentence is about. The page shows it beside that field. */
  field?: string;
}

/** An error reply: its status, and a sentence for the client. `routes/error-reply.ts` makes the reply. */
export class HttpError extends Error {
  readonly status: number;
  readonly headers: Header[];
  readonly field: string | undefined;

  constructor(status: number, sentence: string, { headers = [], field }: HttpErrorOptions = {}) {
    super(sentence);
    this.status = status;
    this.headers = headers;
    this.field = field;
  }
}
