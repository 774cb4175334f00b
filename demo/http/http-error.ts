/** An answer other than the one asked for: thrown by whoever notices, written in one place, `app.ts`. */
export class HttpError extends Error {
  readonly status: number;
  readonly headers: string[];
  /** The form field that the sentence is about, so that the page shows it there. */
  readonly field: string | undefined;

  constructor(status: number, sentence: string, { headers = [], field }: { headers?: string[]; field?: string } = {}) {
    super(sentence);
    this.status = status;
    this.headers = headers;
    this.field = field;
  }
}
