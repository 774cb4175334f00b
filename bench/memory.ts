/** Bytes of Redis' memory for each session, its key and its expiry included. */
import { randomBytes } from "node:crypto";
import { RedisStore } from "connect-redis";
import { RedisSessionStore } from "../session-store.ts";
import { repeat } from "./measure.ts";
import type { Plan } from "./plan.ts";
import { type Client, infoOf } from "./servers/redis-client.ts";
import { DATA, toExpressSession, TTL } from "./session-data.ts";
import type { Row } from "./tables.ts";

const SHAPES = {
  "a username and a counter": DATA,
  "10 fields of 20 bytes": fields(10, 20),
  "5 fields of 100 bytes": fields(5, 100),
  "1 field of 2,000 bytes": fields(1, 2000),
};

export async function measureMemory(client: Client, { sessions }: Plan["memory"]): Promise<Row[]> {
  const store = new RedisSessionStore({ redis: client, ttl: TTL });
  const connectRedisStore = new RedisStore({ client, prefix: "sess:", ttl: TTL });
  const rows: Row[] = [];
  for (const [session, data] of Object.entries(SHAPES)) {
    const ours = await bytesEach(client, sessions, () => store.createSession(data));
    const theirs = await bytesEach(client, sessions, () => {
      const id = randomBytes(24).toString("base64url"); // as express-session draws them
      return connectRedisStore.set(id, toExpressSession(data));
    });
    rows.push({ session, "this store": ours, "connect-redis": theirs, times: ours / theirs });
  }
  return rows;
}

async function bytesEach(client: Client, count: number, create: () => Promise<unknown>): Promise<number> {
  await repeat(count, create); // so that buffers and caches have their size
  await client.flushAll();
  const before = await usedMemory(client);
  await repeat(count, create);
  return ((await usedMemory(client)) - before) / count;
}

async function usedMemory(client: Client): Promise<number> {
  return Number(await infoOf(client, "memory", "used_memory"));
}

function fields(count: number, bytes: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`field_${index}`, "x".repeat(bytes)]));
}
