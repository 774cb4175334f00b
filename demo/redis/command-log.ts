import { performance } from "node:perf_hooks";
import type { RedisScripting } from "../../session-store.ts";
import { readConditions, type ScriptRun } from "./script-run.ts";

/** A Redis command that a request sent, as the page shows it. */
export interface LoggedCommand extends ScriptRun {
  /** `EVALSHA increment session:V1StGXR8… page_views 1`: the operation stands for the script and the number of keys. */
  text: string;
  /** Milliseconds from sending the command to its reply. */
  ms: number;
  /** Commands that were under way together share a round trip; the first is 1. */
  roundTrip: number;
}

/** With 100 bytes of text each at most, the page and the flash cookie stay small whatever a request does. */
const MAX_COMMANDS = 12;
const MAX_WORD = 20; // characters: a key's prefix and enough of its ID to recognize it

type ScriptOptions = Parameters<RedisScripting["evalSha"]>[1];

/**
 * A client that logs the commands it passes on. Each request whose cost a page shows has one of its own, so that the
 * commands of an overlapping request, of the same session too, are never shown as this one's, and nothing has to be
 * stopped.
 */
export class CommandLog implements RedisScripting {
  /** The first commands that have been replied to. */
  readonly commands: LoggedCommand[] = [];
  readonly #redis: RedisScripting;
  #underWay = 0;
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
    if (this.#underWay === 0) this.#roundTrip += 1;
    this.#underWay += 1;
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
      this.#underWay -= 1;
    }
  }

  #add(options: ScriptOptions, name: string, start: number, roundTrip: number, reply: unknown): void {
    if (this.commands.length === MAX_COMMANDS) return;
    const run = scriptRunOf(options.arguments, reply);
    const text = [name, run.operation, ...options.keys.slice(0, 1), ...run.args].map(shorten).join(" ");
    this.commands.push({ ...run, text, ms: Math.round((performance.now() - start) * 100) / 100, roundTrip });
  }
}

/**
 * The arguments that explain an operation. Those of operations not named here stay out, and so do the values that a
 * session starts with: they may be personal.
 */
const SHOWN_ARGUMENTS: Record<string, (args: string[]) => string[]> = {
  create: ([ttl = ""]) => [ttl],
  increment: ([field = "", amount = ""]) => [field, amount],
  set_ttl: ([ttl = ""]) => [ttl],
};

function scriptRunOf([operation = "", now = "", , ...args]: string[], reply: unknown): ScriptRun {
  return {
    operation,
    args: Object.hasOwn(SHOWN_ARGUMENTS, operation) ? SHOWN_ARGUMENTS[operation]!(args) : [],
    outcome: outcomeOf(reply),
    conditions: operation === "read" && Array.isArray(reply) ? readConditions(reply, now) : null,
  };
}

function outcomeOf(reply: unknown): ScriptRun["outcome"] {
  if (reply instanceof Error) return reply.message.startsWith("NOSCRIPT") ? "not cached" : "refused";
  return reply === null ? "no session" : "done";
}

const shorten = (word: string) => (word.length > MAX_WORD ? `${word.slice(0, MAX_WORD)}…` : word);
