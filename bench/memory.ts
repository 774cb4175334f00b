/** Bytes of Redis' memory for each session, its key and its expiry included. */
import { randomBytes } from "node:crypto";
import { RedisSessionStore } from "../session-store.ts";
import { UserSessions } from "../user-sessions.ts";
import type { BenchRedis } from "./processes.ts";
import { repeat } from "./repeat.ts";
import { type Client, connectRedis } from "./servers/redis-client.ts";
import { DATA, expressSession } from "./session-data.ts";
import type { Row } from "./table.ts";

const TTL = 86_400; // seconds: nothing expires meanwhile
const AT_ONCE = 1000;

const SHAPES = [
  { name: "a username and a counter", data: DATA },
  { name: "10 fields of 20 bytes", data: fields(10, 20) },
  { name: "5 fields of 100 bytes", data: fields(5, 100) },
  { name: "1 field of 2,000 bytes", data: fields(1, 2000) },
];
const SESSIONS_OF_A_USER = [1, 3, 10];

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

/** What `UserSessions` adds: the user's name in each session, and an index of the user's sessions. */
export async function measureUserMemory(redis: BenchRedis, sessions: number): Promise<Row[]> {
  const client = await connectRedis(redis.url);
  const store = new UserSessions({ redis: client, ttl: TTL });
  const withoutUser = await bytesEach(client, sessions, () => store.createSession(DATA));
  const rows: Row[] = [];
  for (const count of SESSIONS_OF_A_USER) {
    const each = await bytesEach(client, sessions, (index) =>
      store.createSession(DATA, { user: `user-${Math.floor(index / count)}` }),
    );
    rows.push({
      "sessions of a user": count,
      "bytes each": each,
      "without the user": withoutUser,
      "more for each user": (each - withoutUser) * count,
    });
  }
  client.destroy();
  return rows;
}

async function bytesEach(client: Client, count: number, create: (index: number) => Promise<unknown>): Promise<number> {
  await repeat(count, AT_ONCE, create); // so that buffers and caches have their size
  await client.flushAll();
  const before = await usedMemory(client);
  await repeat(count, AT_ONCE, create);
  return ((await usedMemory(client)) - before) / count;
}

export async function usedMemory(client: Client): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await client.info("memory"))?.[1]);
}

function fields(count: number, bytes: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`field_${index}`, "x".repeat(bytes)]));
}
