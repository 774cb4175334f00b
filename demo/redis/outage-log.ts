import { setTimeout as sleep } from "node:timers/promises";

const CHECK_EVERY_MS = 200;
const REPEAT_AFTER_MS = 10_000;

/**
 * Logs each outage of Redis in two lines, however many requests fail: one when it begins, and one when the check of Redis
 * succeeds again.
 */
export class OutageLog {
  readonly #checkRedis: () => Promise<unknown>;
  #isOutage = false;
  #lastReason = "";
  #lastReasonAt = Number.NEGATIVE_INFINITY;

  /** `checkRedis` rejects while Redis cannot be used. */
  constructor(checkRedis: () => Promise<unknown>) {
    this.#checkRedis = checkRedis;
  }

  report(reason: string): void {
    // Redis may refuse one command and still pass the check. Without this, each such command would log two lines.
    const isRepeated = reason === this.#lastReason && performance.now() - this.#lastReasonAt < REPEAT_AFTER_MS;
    if (this.#isOutage || isRepeated) return;
    this.#lastReason = reason;
    this.#lastReasonAt = performance.now();
    console.error(`Redis is unavailable: ${reason}`);
    void this.#waitUntilUsable();
  }

  async #waitUntilUsable(): Promise<void> {
    this.#isOutage = true;
    do {
      await sleep(CHECK_EVERY_MS, undefined, { ref: false });
    } while (!(await this.#isUsable()));
    this.#isOutage = false;
    console.error("Redis is back");
  }

  #isUsable(): Promise<boolean> {
    return this.#checkRedis().then(
      () => true,
      () => false,
    );
  }
}
