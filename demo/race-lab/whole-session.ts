import type { RedisCommands } from "../../redis-connection/index.ts";
import {
  deleteKey,
  type Hash,
  newFields,
  observe,
  type RaceSessionWithoutStore,
  recordOfRead,
} from "./race-session.ts";

/**
 * A session kept as one value, as most session stores do: a request reads all of it, and writes all of it back at its end.
 * SET creates a key that does not exist, so a write after the log-out brings the whole session back. `ttl` in seconds.
 */
export function wholeSession(redis: RedisCommands, key: string, ttl: number): RaceSessionWithoutStore {
  /** What the request has read. Somebody who runs the steps one by one sends a request for each, so then it is new. */
  let copy = newFields(ttl);
  const fields = async () => JSON.parse((await redis.get(key)) ?? "{}") as Hash;
  const set = (value: Hash) => redis.set(key, JSON.stringify(value), { PX: ttl * 1000 });
  return {
    create: () => set(newFields(ttl)),

    async read() {
      const found = await fields();
      if (Object.keys(found).length > 0) copy = found;
      return recordOfRead("GET key", found, "null");
    },

    async write() {
      const [, held] = await observe(set({ ...copy, page_views: "2" }), fields());
      const call = `SET key {"username": … } PX ${ttl * 1000}`;
      return { step: "write", calls: [{ call, reply: "OK: all that the request had read", held }], found: true };
    },

    logout: () => deleteKey(redis, key),
    fields,
    remove: () => redis.del(key),
  };
}
