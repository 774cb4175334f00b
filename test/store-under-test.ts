import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { RedisSessionStore, type RedisSessionStoreOptions } from "../session-store.ts";
import type { Client } from "./redis-connection.ts";

/** A store of the test's own keys, every operation of which is followed by `assertExpiries`. */
export function openStore(redis: Client, { prefix = newPrefix(), ...options }: Partial<RedisSessionStoreOptions> = {}) {
  const { absoluteTtl = 2_592_000 } = options;
  const plain = new RedisSessionStore({ redis, prefix, ...options });
  const store = new Proxy(plain, {
    get:
      (_, operation: keyof RedisSessionStore) =>
      async (...args: never[]) => {
        try {
          return await (plain[operation] as (...input: never[]) => Promise<unknown>)(...args);
        } finally {
          await assertExpiries(redis, prefix, absoluteTtl);
        }
      },
  });
  return { store, plain, prefix, key: (id: string) => prefix + id };
}

export const newPrefix = () => `test:${randomUUID()}:`;

/** No key without an expiry, and none that outlives its absolute deadline. */
export async function assertExpiries(redis: Client, prefix: string, absoluteTtl: number): Promise<void> {
  for await (const keys of redis.scanIterator({ MATCH: `${prefix}*`, COUNT: 10_000 })) {
    for (const key of keys) {
      const [expiry, createdAt] = await Promise.all([
        redis.pExpireTime(key),
        redis.hGet(key, "created_at").catch(() => null),
      ]);
      assert.notEqual(expiry, -1, `${key} has no expiry`);
      const deadline = Date.parse(createdAt ?? "") + absoluteTtl * 1000;
      assert.ok(!(expiry > deadline), `${key} outlives its absolute deadline by ${expiry - deadline} ms`);
    }
  }
}

/** Leaves a session as if nobody had used it until so many seconds were left. */
export const neglect = (redis: Client, key: string, secondsLeft: number) =>
  redis.multi().hSet(key, "last_accessed_at", LONG_AGO).expire(key, secondsLeft).exec();
export const LONG_AGO = "2001-02-03T04:05:06Z";
