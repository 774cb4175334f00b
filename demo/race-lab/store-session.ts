import type { RedisCommands } from "../../redis-connection/index.ts";
import { observe, type RaceSession } from "./race-session.ts";

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
export function storeSession(redis: RedisCommands, store: RaceStore, id: string): RaceSession {
  const key = store.keyOf(id);
  const fields = () => redis.hGetAll(key);
  return {
    async read() {
      const [session, held] = await observe(store.getSession(id), fields());
      const found = session !== null;
      const reply = found ? "the session, with its deadline" : "null: no session";
      return { step: "read", calls: [{ call: "getSession(id)", reply, held }], found };
    },

    async write() {
      const [views, held] = await observe(store.incrementField(id, "page_views"), fields());
      const found = views !== null;
      const reply = found ? String(views) : "null: no session, so nothing is written";
      return { step: "write", calls: [{ call: 'incrementField(id, "page_views")', reply, held }], found };
    },

    async logout() {
      const [found, held] = await observe(store.deleteSession(id), fields());
      const reply = found ? "true: deleted" : "false: there was none";
      return { step: "logout", calls: [{ call: "deleteSession(id)", reply, held }], found };
    },

    fields,
    remove: () => redis.del(key),
  };
}
