/** Bytes of Redis' memory a session, keys, expiry and all. */
import { randomBytes } from "node:crypto";
import { RedisSessionStore } from "../session-store.ts";
import type { BenchRedis } from "./processes.ts";
import type { Client } from "./redis-cost.ts";
import { connectRedis } from "./servers/redis-client.ts";
import { DATA, expressSession } from "./session-data.ts";
import type { Row } from "./table.ts";

const TTL = 86_400; // seconds: nothing expires meanwhile
const BATCH = 1000;

const SHAPES = [
  { name: "a username and a counter", data: DATA },
  { name: "10 fields of 20 bytes", data: fields(10, 20) },
  { name: "5 fields of 100 bytes", data: fields(5, 100) },
  { name: "1 field of 2,000 bytes", data: fields(1, 2000) },
];

export async function measureMemory(redis: BenchRedis, sessions: number): Promise<Row[]> {
  const client = await connectRedis(redis.url);
  const store = new RedisSessionStore({ redis: client, ttl: TTL });
  const rows: Row[] = [];
  for (const { name, data } of SHAPES) {
    const ours = await bytesEach(client, sessions, () => store.createSession(data));
    const theirs = await bytesEach(client, sessions, () => {
      const id = randomBytes(24).toString("base64url"); // as express-session draws them
      return client.set(`sess:${id}`, expressSession(data, TTL), { expiration: { type: "EX", value: TTL } });
    });
    rows.push({ session: name, "this store": ours, "connect-redis": theirs, times: ours / theirs });
  }
  client.destroy();
  return rows;
}

async function bytesEach(client: Client, count: number, create: () => Promise<unknown>): Promise<number> {
  await repeat(count, create); // so that buffers and caches have their size
  await client.flushAll();
  const before = await usedMemory(client);
  await repeat(count, create);
  return ((await usedMemory(client)) - before) / count;
}

/** Runs an operation so many times, many at a time, and returns the results. */
export async function repeat<Result>(count: number, run: () => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  while (results.length < count) {
    const size = Math.min(BATCH, count - results.length);
    results.push(...(await Promise.all(Array.from({ length: size }, run))));
  }
  return results;
}

export async function usedMemory(client: Client): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await client.info("memory"))?.[1]);
}

function fields(count: number, bytes: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`field_${index}`, "x".repeat(bytes)]));
}
