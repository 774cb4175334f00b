import type { RedisCommands } from "../../redis-connection/index.ts";
import { timestamp } from "../../session-store.ts";
import { deleteKey, newFields, observe, type RaceSessionWithoutStore, recordOfRead } from "./race-session.ts";

/**
 * A session kept with plain commands, as in the session store guide of the Redis documentation: HGETALL to read, then
 * HSET and an expiry to write. HSET creates a key that does not exist, so a write after the log-out brings the key back.
 * The EXPIRE of that guide is PEXPIRE here, because that is the one that the store's ACL allows. `ttl` in seconds.
 */
export function plainSession(redis: RedisCommands, key: string, ttl: number): RaceSessionWithoutStore {
  const fields = () => redis.hGetAll(key);
  return {
    // Here and in `write`, both are sent at once: a connection lost in between would leave a key that never expires.
    create: () => Promise.all([redis.hSet(key, newFields(ttl)), redis.pExpire(key, ttl * 1000)]),

    read: async () => recordOfRead("HGETALL key", await fields(), "empty"),

    async write() {
      const changes = { page_views: "2", last_accessed_at: timestamp() };
      const [[added, heldAfterWrite], [isSet, held]] = await Promise.all([
        observe(redis.hSet(key, changes), fields()),
        observe(redis.pExpire(key, ttl * 1000), fields()),
      ]);
      const addedReply = added === 0 ? "0 new fields: the session was there" : `${added} new fields: the key was gone`;
      const calls = [
        { call: "HSET key page_views 2 …", reply: addedReply, held: heldAfterWrite },
        { call: `PEXPIRE key ${ttl * 1000}`, reply: isSet === 1 ? "1: done" : "0: there was no key", held },
      ];
      return { step: "write", calls, found: true };
    },

    logout: () => deleteKey(redis, key),
    fields,
    remove: () => redis.del(key),
  };
}
