import { REDIS_TIME_LIMITS } from "./time-limits.ts";

/** A command that Redis refused. */
export interface Refusal {
  /** The name of a plain command, or the first argument of a script, which tells it what to do. It is never logged. */
  operation: string | undefined;
  /** The first word of the error reply. */
  code: string;
  reason: string;
}

/**
 * Codes of refusals that depend on the key, so a command with another key may be accepted: the server has only some of the
 * keys, or another program has written a value of another type.
 */
const IS_ABOUT_KEYS = /^(MOVED|WRONGTYPE)$/;

/**
 * Writes one line when Redis can no longer be used, and one when it can be used again, however many commands fail. Another
 * line follows if Redis can be reached again and refuses, because that is another reason. No line contains a secret.
 */
export class ProblemLog {
  readonly #write: (line: string) => void;
  #isUnavailable = false;
  #isRefusing = false;
  #lastProblemAt = 0;
  /** By code, until Redis accepts the command. */
  readonly #refusals = new Map<string, Refusal>();
  /** When a refusal with this code was logged. */
  readonly #refusalTimes = new Map<string, number>();

  constructor(write: (line: string) => void) {
    this.#write = (line) => queueMicrotask(() => write(line)); // if it throws, the connection is not disturbed
  }

  /** Reports the present problem. `isRefusal`: Redis was reached. */
  unavailable(reason: string, isRefusal: boolean): void {
    this.#lastProblemAt = performance.now();
    if (this.#isUnavailable && (this.#isRefusing || !isRefusal)) return;
    this.#isUnavailable = true;
    this.#isRefusing = isRefusal;
    this.#write(`Redis is unavailable: ${reason}`);
  }

  /** Reports that there is no problem now. One that returns within `stableMs` counts as the same one. */
  available(): void {
    if (!this.#isUnavailable || performance.now() - this.#lastProblemAt < REDIS_TIME_LIMITS.stableMs) return;
    this.#isUnavailable = false;
    this.#isRefusing = false;
    this.#write("Redis is back");
  }

  /** Reports that Redis refused one command, although the checks found no problem. */
  refused(refusal: Refusal): void {
    const { code, reason } = refusal;
    const age = performance.now() - (this.#refusalTimes.get(code) ?? Number.NEGATIVE_INFINITY);
    if (this.#isUnavailable || this.#refusals.has(code) || age < REDIS_TIME_LIMITS.repeatRefusalMs) return;
    this.#refusals.set(code, refusal);
    this.#refusalTimes.set(code, performance.now());
    this.#write(`Redis refuses a command: ${reason}`);
  }

  /** Whether `accepted` must be called. */
  get isRefused(): boolean {
    return this.#refusals.size > 0;
  }

  /** Reports that Redis accepted a command. */
  accepted(operation: string | undefined): void {
    for (const [code, refusal] of this.#refusals) {
      if (operation !== refusal.operation || IS_ABOUT_KEYS.test(code)) continue;
      this.#refusals.delete(code);
      this.#write("Redis accepts the command again");
    }
  }
}
