import { randomBytes } from "node:crypto";
import { RedisStore } from "connect-redis";
import type { SessionData } from "express-session";
import { RedisSessionStore } from "../session-store.ts";
import { type BenchRedis, type Client, connectLikeDemo, startRedis } from "./redis.ts";
import { measurePace, medianPace, type Pace, paceRatio } from "./store.ts";

export interface GrowthPlan {
  rounds: number;
  operationsPerRound: number;
  sizes: number[];
}

export interface GrowthResult {
  sessions: number;
  operation: string;
  pace: Pace;
  /** Operations a second over those with the smallest number of sessions, in the same rounds. */
  ratioToSmallest: number;
}

export interface BytesResult {
  sessions: number;
  fields: number;
  valueBytes: number;
  ourBytes: number;
  connectRedisBytes: number;
  ourReadsPerSecond: number;
  connectRedisReadsPerSecond: number;
  /** How many times our bytes and reads are connect-redis'. */
  bytesRatio: number;
  readsRatio: number;
}

type Fields = Record<string, string>;
interface Side {
  create: (fields: Fields) => Promise<string>;
  read: (id: string) => Promise<unknown>;
}

const IN_FLIGHT = 64;
const BATCH = 1000;
const TTL = 86_400; // seconds: nothing expires while it is measured
const SHAPE_SESSIONS = 2000;
const SHAPES = [
  { fields: 5, valueBytes: 10 },
  { fields: 20, valueBytes: 10 },
  { fields: 50, valueBytes: 10 },
  { fields: 5, valueBytes: 100 },
  { fields: 5, valueBytes: 700 },
  { fields: 1, valueBytes: 4000 },
];
export const RAW_READ = "HGETALL";
const RAW_WRITE = "HINCRBY";
export const isRaw = ({ operation }: GrowthResult) => operation === RAW_READ || operation === RAW_WRITE;
const GUIDE_FIELDS: Fields = { username: "andrew", page_views: "1" };

/** A small Redis stays beside the one that grows, so that each round measures both, one right after the other. */
export async function measureGrowth(plan: GrowthPlan, say: (line: string) => void) {
  const [small, large] = await Promise.all([startRedis(), startRedis()]);
  const [smallClient, largeClient] = await Promise.all([connectLikeDemo(small), connectLikeDemo(large)]);
  try {
    const [smallest = 0] = plan.sizes;
    const smallIds = await fill(ourSide(smallClient), smallest, GUIDE_FIELDS);
    const largeIds: string[] = [];
    const growth: GrowthResult[] = [];
    const bytes: BytesResult[] = [];
    const empty = await usedMemory(largeClient);
    for (const sessions of plan.sizes) {
      say(`growth: ${sessions.toLocaleString("en")} sessions`);
      for (const id of await fill(ourSide(largeClient), sessions - largeIds.length, GUIDE_FIELDS)) largeIds.push(id);
      const ourBytes = ((await usedMemory(largeClient)) - empty) / sessions;
      bytes.push({ ...emptyBytes, sessions, ourBytes });
      growth.push(...(await measureSize(plan, { small, smallClient, smallIds, large, largeClient, largeIds })));
    }
    await largeClient.flushAll();
    await measureConnectRedis(large, largeClient, plan, bytes, say);
    for (const shape of SHAPES) {
      say(`growth: ${shape.fields} fields of ${shape.valueBytes} bytes`);
      bytes.push(await measureShape(large, largeClient, shape, plan.rounds));
    }
    return { growth, bytes };
  } finally {
    smallClient.destroy();
    largeClient.destroy();
    await Promise.all([small.stop(), large.stop()]);
  }
}

const emptyBytes: BytesResult = {
  sessions: 0,
  fields: 2,
  valueBytes: 6,
  ourBytes: Number.NaN,
  connectRedisBytes: Number.NaN,
  ourReadsPerSecond: Number.NaN,
  connectRedisReadsPerSecond: Number.NaN,
  bytesRatio: Number.NaN,
  readsRatio: Number.NaN,
};

interface Pair {
  small: BenchRedis;
  smallClient: Client;
  smallIds: string[];
  large: BenchRedis;
  largeClient: Client;
  largeIds: string[];
}

async function measureSize(plan: GrowthPlan, pair: Pair): Promise<GrowthResult[]> {
  const operations = Object.entries({
    // Together, so that the number of sessions stays what it is.
    "createSession + deleteSession":
      ({ store }: Target) =>
      async () =>
        store.deleteSession(await store.createSession(GUIDE_FIELDS)),
    getSession:
      ({ store }: Target) =>
      (id: string) =>
        store.getSession(id),
    updateSession:
      ({ store }: Target) =>
      (id: string) =>
        store.updateSession(id, { username: "someone" }),
    incrementField:
      ({ store }: Target) =>
      (id: string) =>
        store.incrementField(id, "page_views"),
    setSessionTtl:
      ({ store }: Target) =>
      (id: string) =>
        store.setSessionTtl(id, TTL),
    // What Redis itself loses when its memory is more than a core's cache holds.
    [RAW_READ]:
      ({ client, store }: Target) =>
      (id: string) =>
        client.hGetAll(store.keyOf(id)),
    [RAW_WRITE]:
      ({ client, store }: Target) =>
      (id: string) =>
        client.hIncrBy(store.keyOf(id), "page_views", 1),
  });
  // As many sessions on both sides, again and again, so that both refresh as seldom: the size alone differs.
  const largeIds = pick(pair.largeIds, pair.smallIds.length);
  const sides = [
    { redis: pair.small, ids: pair.smallIds, target: targetOf(pair.smallClient) },
    { redis: pair.large, ids: largeIds, target: targetOf(pair.largeClient) },
  ];
  const results: GrowthResult[] = [];
  for (const [operation, run] of operations) {
    const paces: Pace[][] = [[], []];
    for (let round = 0; round <= plan.rounds; round += 1) {
      for (const [side, { redis, ids, target }] of sides.entries()) {
        const pace = await measurePace(redis, pick(ids, plan.operationsPerRound), IN_FLIGHT, run(target));
        if (round > 0) paces[side]?.push(pace); // the first round warms up
      }
    }
    const [small = [], large = []] = paces;
    results.push({
      sessions: pair.largeIds.length,
      operation,
      pace: medianPace(large),
      ratioToSmallest: paceRatio(large, small),
    });
  }
  return results;
}

/** Fills in connect-redis' side of `bytes`, one number of sessions after the other. */
async function measureConnectRedis(
  redis: BenchRedis,
  client: Client,
  plan: GrowthPlan,
  bytes: BytesResult[],
  say: (line: string) => void,
): Promise<void> {
  const empty = await usedMemory(client);
  const ids: string[] = [];
  for (const result of bytes) {
    say(`growth: ${result.sessions.toLocaleString("en")} sessions of connect-redis`);
    for (const id of await fill(connectRedisSide(client), result.sessions - ids.length, GUIDE_FIELDS)) ids.push(id);
    result.connectRedisBytes = ((await usedMemory(client)) - empty) / result.sessions;
    result.bytesRatio = result.ourBytes / result.connectRedisBytes;
    const { read } = connectRedisSide(client);
    const paces: Pace[] = [];
    for (let round = 0; round < plan.rounds; round += 1) {
      paces.push(await measurePace(redis, pick(ids, plan.operationsPerRound), IN_FLIGHT, read));
    }
    result.connectRedisReadsPerSecond = medianPace(paces).operationsPerSecond;
  }
  await client.flushAll();
}

async function measureShape(
  redis: BenchRedis,
  client: Client,
  { fields, valueBytes }: { fields: number; valueBytes: number },
  rounds: number,
): Promise<BytesResult> {
  const data = Object.fromEntries(Array.from({ length: fields }, (_, index) => [`f${index}`, "x".repeat(valueBytes)]));
  const sides = [ourSide(client), connectRedisSide(client)];
  const bytes: number[] = [];
  const paces: Pace[][] = [[], []];
  const ids: string[][] = [];
  for (const side of sides) {
    const before = await usedMemory(client);
    ids.push(await fill(side, SHAPE_SESSIONS, data));
    bytes.push(((await usedMemory(client)) - before) / SHAPE_SESSIONS);
  }
  for (let round = 0; round <= rounds; round += 1) {
    for (const [number, side] of sides.entries()) {
      const pace = await measurePace(redis, ids[number] ?? [], IN_FLIGHT, side.read);
      if (round > 0) paces[number]?.push(pace);
    }
  }
  await client.flushAll();
  const [ours = [], theirs = []] = paces;
  const [ourBytes = Number.NaN, connectRedisBytes = Number.NaN] = bytes;
  return {
    sessions: SHAPE_SESSIONS,
    fields,
    valueBytes,
    ourBytes,
    connectRedisBytes,
    ourReadsPerSecond: medianPace(ours).operationsPerSecond,
    connectRedisReadsPerSecond: medianPace(theirs).operationsPerSecond,
    bytesRatio: ourBytes / connectRedisBytes,
    readsRatio: paceRatio(ours, theirs),
  };
}

interface Target {
  client: Client;
  store: RedisSessionStore<Fields>;
}

const targetOf = (client: Client): Target => ({ client, store: storeOn(client) });
const storeOn = (client: Client) => new RedisSessionStore<Fields>({ redis: client, ttl: TTL });

function ourSide(client: Client): Side {
  const store = storeOn(client);
  return { create: (fields) => store.createSession(fields), read: (id) => store.getSession(id) };
}

/** What express-session gives it to keep: the cookie's attributes and the fields, the guide's own ones included. */
function connectRedisSide(client: Client): Side {
  const store = new RedisStore({ client, ttl: TTL });
  return {
    async create(fields) {
      const id = randomBytes(24).toString("base64url"); // as express-session makes them
      const now = new Date();
      const cookie = {
        originalMaxAge: TTL * 1000,
        expires: new Date(now.getTime() + TTL * 1000),
        httpOnly: true,
        path: "/",
        sameSite: "lax",
      } as const;
      const time = `${now.toISOString().slice(0, 19)}Z`;
      const reserved = { session_ttl: String(TTL), created_at: time, last_accessed_at: time };
      const session = { cookie, ...reserved, ...fields } as object as SessionData;
      await store.set(id, session);
      return id;
    },
    read: (id) => store.get(id),
  };
}

async function fill({ create }: Side, count: number, fields: Fields): Promise<string[]> {
  const ids: string[] = [];
  while (ids.length < count) {
    const size = Math.min(BATCH, count - ids.length);
    ids.push(...(await Promise.all(Array.from({ length: size }, () => create(fields)))));
  }
  return ids;
}

const pick = (ids: string[], count: number): string[] =>
  Array.from({ length: count }, () => ids[Math.floor(Math.random() * ids.length)] ?? "");

async function usedMemory(client: Client): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await client.info("memory"))?.[1]);
}
