import type { RedisCommands } from "../../redis-connection/index.ts";
import { type Hash, heldInWords, newFields, observe, type RaceSession, type StepRecord } from "./race-session.ts";

/**
 * A session kept with plain commands, as in the session store guide of the Redis documentation: HGETALL to read, then
 * HSET and an expiry to write. HSET creates a key that does not exist, so a write after the log-out brings the key back.
 * The EXPIRE of that guide is PEXPIRE here, because that is the one that the store's ACL allows.
 */
export class PlainSession implements RaceSession {
  readonly #redis: RedisCommands;
  readonly #key: string;
  readonly #ttl: number;

  /** `ttl` in seconds. */
  constructor(redis: RedisCommands, key: string, ttl: number) {
    this.#redis = redis;
    this.#key = key;
    this.#ttl = ttl;
  }

  async create(): Promise<void> {
    const fields = newFields(this.#ttl);
    // Here and in `write`, both are sent at once: a connection lost in between would leave a key that never expires.
    await Promise.all([this.#redis.hSet(this.#key, fields), this.#redis.pExpire(this.#key, this.#ttl * 1000)]);
  }

  async read(): Promise<StepRecord> {
    const [fields, held] = await observe(this.#redis.hGetAll(this.#key), this.fields());
    const count = Object.keys(fields).length;
    const found = count > 0;
    const reply = found ? `${count} fields: the session is there` : "empty: no session";
    return { step: "read", calls: [{ call: "HGETALL key", reply, held }], found };
  }

  async logout(): Promise<StepRecord> {
    const found = (await this.remove()) === 1;
    const reply = found ? "1: deleted" : "0: there was none";
    const held = heldInWords({}); // known without an HGETALL, which on a cluster could overtake the DEL
    return { step: "logout", calls: [{ call: "DEL key", reply, held }], found };
  }

  async write(): Promise<StepRecord> {
    const fields = { page_views: "2", last_accessed_at: new Date().toISOString() };
    const [[added, heldAfterWrite], [isSet, held]] = await Promise.all([
      observe(this.#redis.hSet(this.#key, fields), this.fields()),
      observe(this.#redis.pExpire(this.#key, this.#ttl * 1000), this.fields()),
    ]);
    const addedReply = added === 0 ? "0 new fields: the session was there" : `${added} new fields: the key was gone`;
    const calls = [
      { call: "HSET key page_views 2 …", reply: addedReply, held: heldAfterWrite },
      { call: `PEXPIRE key ${this.#ttl * 1000}`, reply: isSet === 1 ? "1: done" : "0: there was no key", held },
    ];
    return { step: "write", calls, found: true };
  }

  fields(): Promise<Hash> {
    return this.#redis.hGetAll(this.#key);
  }

  remove(): Promise<number> {
    return this.#redis.del(this.#key);
  }
}
