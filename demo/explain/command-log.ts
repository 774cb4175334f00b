import { performance } from "node:perf_hooks";
import type { RedisScripting } from "../../session-store.ts";
import { describeScriptCall, type ScriptCall } from "./lua-call.ts";

/** A Redis command that a request sent, as the page shows it. */
export interface LoggedCommand extends ScriptCall {
  /** `EVALSHA increment session:V1StGXR8… page_views 1`: the operation stands for the script and the number of keys. */
  text: string;
  /** When it was sent: Unix time in milliseconds, by this machine's clock. */
  sentAt: number;
  /** Milliseconds from sending the command to its reply. */
  ms: number;
  /** Commands that waited for their replies at the same time share a round trip; the first is 1. */
  roundTrip: number;
}

const MAX_COMMANDS = 12; // with 100 bytes of text each at most, so the page and the flash cookie stay small
const MAX_WORD = 20; // characters: a key's prefix and enough of its ID to recognize it

type ScriptOptions = Parameters<RedisScripting["evalSha"]>[1];

/**
 * A client that passes commands on and logs them. A request whose cost the page shows has a client of its own, so its log has
 * no command of another request, even of the same session.
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
    const call = describeScriptCall(options.arguments, reply);
    const text = [name, call.operation, ...options.keys.slice(0, 1), ...call.args].map(shorten).join(" ");
    const ms = Math.round((performance.now() - start) * 100) / 100;
    this.commands.push({ ...call, text, sentAt: Math.round(Date.now() - ms), ms, roundTrip });
  }
}

const shorten = (word: string) => (word.length > MAX_WORD ? `${word.slice(0, MAX_WORD)}…` : word);
