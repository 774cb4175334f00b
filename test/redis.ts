import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after } from "node:test";
import { createClient } from "redis";
import { startPrivateRedis } from "../demo/private-redis.ts";
import { RedisSessionStore, type RedisSessionStoreOptions } from "../session-store.ts";

/** Set to have the tests run on `valkey-server`. */
const SERVER = process.env["TEST_SERVER"] === undefined ? undefined : [process.env["TEST_SERVER"]];

export type Client = Awaited<ReturnType<typeof connectTo>>;

/** A Redis for the test file that asks for it, stopped when its tests are done. The first client is connected. */
export async function openRedis() {
  const server = await startPrivateRedis(undefined, SERVER);
  const clients: Client[] = [];
  const connect = async (user?: { username: string; password: string }) => {
    const client = await connectTo(server, user);
    clients.push(client);
    return client;
  };
  after(async () => {
    for (const client of clients) client.destroy();
    await server.stop();
  });
  return { host: server.host, port: server.port, redis: await connect(), connect };
}

function connectTo({ host, port }: { host: string; port: number }, user = {}) {
  const client = createClient({
    socket: { host, port },
    commandOptions: { timeout: 0 },
    disableOfflineQueue: true,
    ...user,
  });
  client.on("error", () => {}); // each command that fails says so itself
  return client.connect();
}

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

/** How often Redis ran each command, also inside a script, while the action ran. */
export async function commandsDuring(redis: Client, action: () => Promise<unknown>): Promise<Record<string, number>> {
  await redis.configResetStat();
  await action();
  const stats = (await redis.info("commandstats")).matchAll(/^cmdstat_(\S+?):calls=(\d+)/gm);
  return Object.fromEntries(
    Array.from(stats, ([, command, calls]) => [command, Number(calls)]).filter(
      ([command]) => command !== "config|resetstat",
    ),
  );
}
