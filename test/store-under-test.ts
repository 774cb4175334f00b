import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import {
  type FieldTypes,
  RedisSessionStore,
  type RedisSessionStoreOptions,
  type TextFields,
} from "../session-store.ts";
import type { Client } from "./redis-connection.ts";

/** For a store whose time limit is not what is tested: a busy machine may take longer than a second. */
export const NO_HURRY = { timeoutMs: 60_000 };

/** A store of the test's own keys, every operation of which is followed by `assertExpiries`. */
export function openStore<Fields extends FieldTypes = TextFields>(
  redis: Client,
  { prefix = newPrefix(), ...options }: Partial<RedisSessionStoreOptions<Fields>> = {},
) {
  const plain = new RedisSessionStore({ redis, prefix, ...NO_HURRY, ...options } as RedisSessionStoreOptions<Fields> & {
    fields: Fields;
  });
  const store = new Proxy(plain, {
    get:
      (_, operation: keyof RedisSessionStore) =>
      async (...args: never[]) => {
        try {
          return await (plain[operation] as (...input: never[]) => Promise<unknown>)(...args);
        } finally {
          await assertExpiries(redis, prefix);
        }
      },
  });
  return { store, plain, prefix, key: (id: string) => prefix + id };
}

export const newPrefix = () => `test:${randomUUID()}:`;

export async function keysLike(redis: Client, pattern: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const some of redis.scanIterator({ MATCH: pattern, COUNT: 10_000 })) keys.push(...some);
  return keys;
}

/** No key without an expiry, and none that outlives its deadline. */
export async function assertExpiries(redis: Client, prefix: string): Promise<void> {
  for (const key of await keysLike(redis, `${prefix}*`)) {
    const [expiry, deadline] = await Promise.all([
      redis.pExpireTime(key),
      redis.hGet(key, "session_deadline").catch(() => null),
    ]);
    assert.notEqual(expiry, -1, `${key} has no expiry`);
    const excess = expiry - Number(deadline ?? Infinity) * 1000;
    assert.ok(!(excess > 0), `${key} outlives its deadline by ${excess} ms`);
  }
}

/** Leaves a session as if nobody had used it until that many seconds were left. */
export const neglect = (redis: Client, key: string, secondsLeft: number) =>
  redis.multi().hSet(key, "last_accessed_at", LONG_AGO).expire(key, secondsLeft).exec();
export const LONG_AGO = "2001-02-03T04:05:06Z";

/** All that Redis holds of a key: its value and when it expires. */
export const snapshot = (redis: Client, key: string) => Promise.all([redis.dump(key), redis.pExpireTime(key)]);
