import { performance } from "node:perf_hooks";
import type { RedisScripting } from "../../session-store.ts";

/** A Redis command that a request sent, as the page shows it. */
export interface LoggedCommand {
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
  readonly #redis: RedisScripting;
  readonly #commands: (Omit<LoggedCommand, "ms"> & { ms: number | undefined })[] = [];
  #underWay = 0;
  #roundTrip = 0;

  constructor(redis: RedisScripting) {
    this.#redis = redis;
  }

  /** The first commands that have been replied to, in the order in which they were sent. */
  get commands(): LoggedCommand[] {
    return this.#commands.filter((command): command is LoggedCommand => command.ms !== undefined);
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
    const command = { text: textOf(name, options), ms: undefined as number | undefined, roundTrip: this.#roundTrip };
    if (this.#commands.length < MAX_COMMANDS) this.#commands.push(command);
    const start = performance.now();
    try {
      return await send();
    } finally {
      command.ms = Math.round((performance.now() - start) * 100) / 100;
      this.#underWay -= 1;
    }
  }
}

/**
 * The arguments that explain an operation. Those of operations not named here stay out, and so do the values that a
 * session starts with: they may be personal.
 */
const SHOWN_ARGUMENTS: Record<string, (args: string[]) => string[]> = {
  create: ([ttl = "", ...fields]) => [ttl, ...fields.filter((_, index) => index % 2 === 0)].slice(0, 3),
  increment: ([field = "", amount = ""]) => [field, amount],
  set_ttl: ([ttl = ""]) => [ttl],
};

function textOf(name: string, { keys, arguments: [operation = "", , ...args] }: ScriptOptions): string {
  const shown = Object.hasOwn(SHOWN_ARGUMENTS, operation) ? SHOWN_ARGUMENTS[operation]!(args) : [];
  return [name, operation, ...keys.slice(0, 1), ...shown].map(shorten).join(" ");
}

const shorten = (word: string) => (word.length > MAX_WORD ? `${word.slice(0, MAX_WORD)}…` : word);
