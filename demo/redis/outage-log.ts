const QUIET_MS = 10_000;

/** Says once that Redis is unavailable, however many requests and reconnects fail, and once that it is connected again. */
export class OutageLog {
  #lastFailure = Number.NEGATIVE_INFINITY;

  failed(reason: string): void {
    const isNew = Date.now() - this.#lastFailure > QUIET_MS;
    this.#lastFailure = Date.now();
    if (isNew) console.error(`Redis is unavailable: ${reason}`);
  }

  recovered(): void {
    if (this.#lastFailure > 0) console.error("Redis is back");
    this.#lastFailure = Number.NEGATIVE_INFINITY;
  }
}
