import type { RedisCommands } from "../../redis-connection/index.ts";
import { type Hash, heldInWords, newFields, observe, type RaceSession, type StepRecord } from "./race-session.ts";

/**
 * A session kept as one value, as most session stores do: a request reads all of it, and writes all of it back at its end.
 * SET creates a key that does not exist, so a write after the log-out brings the whole session back.
 */
export class WholeSession implements RaceSession {
  readonly #redis: RedisCommands;
  readonly #key: string;
  readonly #ttl: number;
  /** What the request has read. When somebody takes the steps one by one, each is a request, and makes it anew. */
  #copy: Hash | undefined;

  /** `ttl` in seconds. */
  constructor(redis: RedisCommands, key: string, ttl: number) {
    this.#redis = redis;
    this.#key = key;
    this.#ttl = ttl;
  }

  async create(): Promise<void> {
    await this.#set(newFields(this.#ttl));
  }

  async read(): Promise<StepRecord> {
    const [fields, held] = await observe(this.fields(), this.fields());
    const count = Object.keys(fields).length;
    const found = count > 0;
    if (found) this.#copy = fields;
    const reply = found ? `${count} fields: the session is there` : "null: no session";
    return { step: "read", calls: [{ call: "GET key", reply, held }], found };
  }

  async logout(): Promise<StepRecord> {
    const found = (await this.remove()) === 1;
    const reply = found ? "1: deleted" : "0: there was none";
    return { step: "logout", calls: [{ call: "DEL key", reply, held: heldInWords({}) }], found };
  }

  async write(): Promise<StepRecord> {
    const copy = { ...(this.#copy ?? newFields(this.#ttl)), page_views: "2" };
    const [, held] = await observe(this.#set(copy), this.fields());
    const call = `SET key {"username": … } PX ${this.#ttl * 1000}`;
    return { step: "write", calls: [{ call, reply: "OK: all that the request had read", held }], found: true };
  }

  async fields(): Promise<Hash> {
    return JSON.parse((await this.#redis.get(this.#key)) ?? "{}") as Hash;
  }

  remove(): Promise<number> {
    return this.#redis.del(this.#key);
  }

  #set(fields: Hash): Promise<unknown> {
    return this.#redis.set(this.#key, JSON.stringify(fields), { PX: this.#ttl * 1000 });
  }
}
