import type { RedisCommands } from "../../redis-connection/index.ts";
import { type Hash, observe, type RaceSession, type StepRecord } from "./race-session.ts";

/** What the lab needs of the store. */
export interface RaceStore {
  createSession(data: { username: string; page_views: number }, options: { ttl: number }): Promise<string>;
  getSession(id: string): Promise<object | null>;
  incrementField(id: string, field: "page_views"): Promise<number | null>;
  deleteSession(id: string): Promise<boolean>;
  keyOf(id: string): string;
}

/**
 * A session of the store, whose every operation checks in one atomic step that the session exists. Each call here is one
 * command: `createSession` has made Redis cache the script.
 */
export class StoreSession implements RaceSession {
  readonly #redis: RedisCommands;
  readonly #store: RaceStore;
  readonly #id: string;

  constructor(redis: RedisCommands, store: RaceStore, id: string) {
    this.#redis = redis;
    this.#store = store;
    this.#id = id;
  }

  async read(): Promise<StepRecord> {
    const [session, held] = await observe(this.#store.getSession(this.#id), this.fields());
    const found = session !== null;
    const reply = found ? "the session" : "null: no session";
    return { step: "read", calls: [{ call: "getSession(id)", reply, held }], found };
  }

  async logout(): Promise<StepRecord> {
    const [found, held] = await observe(this.#store.deleteSession(this.#id), this.fields());
    const reply = found ? "true: deleted" : "false: there was none";
    return { step: "logout", calls: [{ call: "deleteSession(id)", reply, held }], found };
  }

  async write(): Promise<StepRecord> {
    const [views, held] = await observe(this.#store.incrementField(this.#id, "page_views"), this.fields());
    const found = views !== null;
    const reply = found ? String(views) : "null: no session, so nothing is written";
    return { step: "write", calls: [{ call: 'incrementField(id, "page_views")', reply, held }], found };
  }

  fields(): Promise<Hash> {
    return this.#redis.hGetAll(this.#store.keyOf(this.#id));
  }

  remove(): Promise<number> {
    return this.#redis.del(this.#store.keyOf(this.#id));
  }
}
