interface HttpErrorOptions {
  /** Name, value, name, value …, as in a reply. */
  headers?: string[];
  /** The form field that the sentence is about: the page shows it there. */
  field?: string;
}

/** A reply other than the one that was asked for. Thrown wherever the reason is found; `demo/http/server.ts` replies with it. */
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
