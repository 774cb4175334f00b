/** Memory, and what operations cost Redis, by the number of sessions. */
import { randomInt } from "node:crypto";
import { RedisSessionStore } from "../session-store.ts";
import { usedMemory } from "./memory.ts";
import type { BenchRedis } from "./processes.ts";
import { EMPTY_SCRIPT, keyOf, microsecondsInRedis, type Operation } from "./redis-cost.ts";
import { repeat } from "./repeat.ts";
import { measureInTurn } from "./rounds.ts";
import { type Client, connectRedis } from "./servers/redis-client.ts";
import { DATA, FIELDS } from "./session-data.ts";
import { median } from "./statistics.ts";
import type { Row } from "./table.ts";

export interface GrowthPlan {
  sizes: number[];
  rounds: number;
  sessionsPerRound: number;
}

const TTL = 86_400; // seconds: nothing expires meanwhile
const AT_ONCE = 1000;
const REFRESH_PAUSE_MS = 1100; // longer than the second for which a session is not refreshed again

export async function measureGrowth(redis: BenchRedis, plan: GrowthPlan): Promise<Row[]> {
  const client = await connectRedis(redis.url);
  await client.flushAll();
  const bytesBefore = await usedMemory(client);
  const store = new RedisSessionStore({ redis: client, ttl: TTL, fields: FIELDS });
  const operations: Operation[] = [
    { name: "empty script", run: () => client.evalSha(EMPTY_SCRIPT.sha1) },
    { name: "getSession, refreshTtl: false", run: (id) => store.getSession(id, { refreshTtl: false }) },
    { name: "incrementField, refreshing", run: (id) => store.incrementField(id, "page_views") },
    { name: "plain HGETALL", commands: ["HGETALL"], run: (id) => client.hGetAll(keyOf(id)) },
  ];
  const ids: string[] = [];
  const rows: Row[] = [];
  for (const size of plan.sizes) {
    for (const id of await repeat(size - ids.length, AT_ONCE, () => store.createSession(DATA))) ids.push(id);
    const bytes = ((await usedMemory(client)) - bytesBefore) / size;
    rows.push({ sessions: size, "bytes each": bytes, ...(await measureSize(client, operations, ids, plan)) });
  }
  client.destroy();
  return rows;
}

/** On sessions picked at random: if there are many, most are in no cache of the processor. */
async function measureSize(client: Client, operations: Operation[], ids: string[], plan: GrowthPlan): Promise<Row> {
  const pick = () => Array.from({ length: plan.sessionsPerRound }, () => ids[randomInt(ids.length)] ?? "");
  const costs = await measureInTurn(
    plan.rounds,
    operations.map((operation) => () => microsecondsInRedis(client, pick(), operation)),
    { pauseMs: REFRESH_PAUSE_MS },
  );
  return Object.fromEntries(operations.map(({ name }, index) => [`${name}, µs`, median(costs[index] ?? [])]));
}
