import { performance } from "node:perf_hooks";
import type { RedisScripting } from "../../session-store.ts";

/** A call of a script that a request sent to Redis, as the page shows it. */
export interface LoggedCommand {
  /** `EVALSHA increment session:V1StGXR8… page_views 1`: the operation stands for the script and the number of keys. */
  text: string;
  operation: string;
  /** `page_views 1` of an increment, the TTL of `create` and `setTtl`; empty for the others. */
  args: string[];
  /** `not cached`: Redis refused EVALSHA, and EVAL followed. `refused`: Redis replied with another error. */
  outcome: "not cached" | "refused" | "no session" | "done";
  /** Milliseconds from sending the command to its reply. */
  ms: number;
  /** Commands that waited for their replies at the same time share a round trip; the first is 1. */
  roundTrip: number;
}

const MAX_COMMANDS = 12; // with 100 bytes of text each at most, so the page and the flash cookie stay small
const MAX_WORD = 20; // characters: a key's prefix and enough of its ID to recognize it

/** How many arguments of an operation a page may show. All others may be personal. */
const SHOWN_ARGUMENTS = new Map([
  ["create", 1],
  ["increment", 2],
  ["setTtl", 1],
]);

type ScriptOptions = Parameters<RedisScripting["evalSha"]>[1];

/**
 * A client that passes commands on and logs them. A request whose cost the page shows has a client of its own, so its
 * log has no command of another request, even of the same session.
 */
export class CommandLog implements RedisScripting {
  /** The first commands that have a reply. */
  readonly commands: LoggedCommand[] = [];
  readonly #redis: RedisScripting;
  #waiting = 0;
  #roundTrip = 0;

  constructor(redis: RedisScripting) {
    this.#redis = redis;
  }

  evalSha(sha1: string, options: ScriptOptions): Promise<unknown> {
    return this.#log("EVALSHA", options, () => this.#redis.evalSha(sha1, options));
  }

  eval(script: string, options: ScriptOptions): Promise<unknown> {
    return this.#log("EVAL", options, () => this.#redis.eval(script, options));
  }

  async #log(name: string, options: ScriptOptions, send: () => Promise<unknown>): Promise<unknown> {
    if (this.#waiting === 0) this.#roundTrip += 1;
    this.#waiting += 1;
    const roundTrip = this.#roundTrip;
    const start = performance.now();
    try {
      const reply = await send();
      this.#add(options, name, start, roundTrip, reply);
      return reply;
    } catch (error) {
      this.#add(options, name, start, roundTrip, error);
      throw error;
    } finally {
      this.#waiting -= 1;
    }
  }

  #add(options: ScriptOptions, name: string, start: number, roundTrip: number, reply: unknown): void {
    if (this.commands.length === MAX_COMMANDS) return;
    const [operation = "", , , ...allArgs] = options.arguments; // second and third: what the store adds to each operation
    const args = allArgs.slice(0, SHOWN_ARGUMENTS.get(operation) ?? 0);
    const text = [name, operation, ...options.keys.slice(0, 1), ...args].map(shorten).join(" ");
    const ms = Math.round((performance.now() - start) * 100) / 100;
    this.commands.push({ text, operation, args, outcome: outcomeOf(reply), ms, roundTrip });
  }
}

function outcomeOf(reply: unknown): LoggedCommand["outcome"] {
  if (reply instanceof Error) return reply.message.startsWith("NOSCRIPT ") ? "not cached" : "refused";
  return reply === null ? "no session" : "done";
}

const shorten = (word: string) => (word.length > MAX_WORD ? `${word.slice(0, MAX_WORD)}…` : word);
