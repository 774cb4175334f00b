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
 * Writes one line when Redis can no longer be used, and one when it can be used again, however many commands fail. Another
 * line follows if Redis can be reached again and refuses, because that is another reason. No line contains a secret.
 */
export class ProblemLog {
  readonly #write: (line: string) => void;
  #isUnavailable = false;
  #isRefusing = false;
  #lastProblemAt = 0;
  #refusal: Refusal | undefined;
  #lastRefusalAt = Number.NEGATIVE_INFINITY;
  #lastRefusalCode = "";

  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  /** Reports the present problem. `isRefusal`: Redis replied. */
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
    const age = performance.now() - this.#lastRefusalAt;
    if (this.#isUnavailable || code === this.#refusal?.code) return;
    if (code === this.#lastRefusalCode && age < REDIS_TIME_LIMITS.repeatRefusalMs) return;
    this.#refusal = refusal;
    this.#lastRefusalCode = code;
    this.#lastRefusalAt = performance.now();
    this.#write(`Redis refuses a command: ${reason}`);
  }

  /** Whether `accepted` must be called. */
  get isRefused(): boolean {
    return this.#refusal !== undefined;
  }

  /** Reports that Redis accepted a command. */
  accepted(operation: string | undefined): void {
    // MOVED: the server has only some of the keys, so a command with another key may still be accepted.
    if (!this.#refusal || operation !== this.#refusal.operation || this.#refusal.code === "MOVED") return;
    this.#refusal = undefined;
    this.#write("Redis accepts the command again");
  }
}
