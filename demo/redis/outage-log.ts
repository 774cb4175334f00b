import { setTimeout as sleep } from "node:timers/promises";

const CHECK_EVERY_MS = 200;
const QUIET_MS = 10_000;

/**
 * Says once that Redis is unavailable, however many requests and connections fail, and once that it is back: when it
 * can be used again, which is more than a connection to it.
 */
export class OutageLog {
  readonly #checkRedis: () => Promise<unknown>;
  #isOutage = false;
  #lastReason = "";
  #lastTime = Number.NEGATIVE_INFINITY;

  /** `checkRedis` rejects as long as Redis cannot be used. */
  constructor(checkRedis: () => Promise<unknown>) {
    this.#checkRedis = checkRedis;
  }

  failed(reason: string): void {
    // Redis may refuse one command and serve the others. Without this, that would be two lines for each request.
    const isKnown = reason === this.#lastReason && performance.now() - this.#lastTime < QUIET_MS;
    if (this.#isOutage || isKnown) return;
    this.#lastReason = reason;
    this.#lastTime = performance.now();
    console.error(`Redis is unavailable: ${reason}`);
    void this.#waitForTheEnd();
  }

  async #waitForTheEnd(): Promise<void> {
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
