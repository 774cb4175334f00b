/** Memory and the cost of operations by the number of sessions in Redis. */
import { setTimeout as sleep } from "node:timers/promises";
import { RedisSessionStore } from "../session-store.ts";
import { repeat, usedMemory } from "./memory.ts";
import type { BenchRedis } from "./processes.ts";
import {
  type Client,
  connectToMeasure,
  emptyScript,
  keyOf,
  microsecondsInRedis,
  type Operation,
} from "./redis-cost.ts";
import { DATA, FIELDS } from "./session-data.ts";
import { median } from "./statistics.ts";
import type { Row } from "./table.ts";

export interface GrowthPlan {
  sizes: number[];
  rounds: number;
  sessionsPerRound: number;
}

const TTL = 86_400; // seconds: nothing expires meanwhile
const REFRESH_PAUSE_MS = 1100; // a session is refreshed at most once a second; at each size, writes refresh

export async function measureGrowth(redis: BenchRedis, plan: GrowthPlan): Promise<Row[]> {
  const client = await connectToMeasure(redis);
  await client.flushAll();
  const empty = await usedMemory(client);
  const store = new RedisSessionStore({ redis: client, ttl: TTL, fields: FIELDS });
  const operations: Operation[] = [
    emptyScript(client),
    {
      name: "getSession, refreshTtl: false",
      run: (id) => store.getSession(id, { refreshTtl: false }),
    },
    { name: "incrementField, refreshing", run: (id) => store.incrementField(id, "page_views") },
    { name: "plain HGETALL", commands: ["HGETALL"], run: (id) => client.hGetAll(keyOf(id)) },
  ];
  const ids: string[] = [];
  const rows: Row[] = [];
  for (const size of plan.sizes) {
    for (const id of await repeat(size - ids.length, () => store.createSession(DATA))) ids.push(id);
    const bytes = ((await usedMemory(client)) - empty) / size;
    rows.push({ sessions: size, "bytes each": bytes, ...(await measureSize(client, operations, ids, plan)) });
  }
  client.destroy();
  return rows;
}

/** On sessions picked at random: with many of them, most are in no cache of the processor. */
async function measureSize(client: Client, operations: Operation[], ids: string[], plan: GrowthPlan): Promise<Row> {
  const costs = operations.map((): number[] => []);
  for (let round = 0; round < plan.rounds; round += 1) {
    await sleep(REFRESH_PAUSE_MS);
    for (const [index, operation] of operations.entries()) {
      const picked = Array.from(
        { length: plan.sessionsPerRound },
        () => ids[Math.floor(Math.random() * ids.length)] ?? "",
      );
      costs[index]?.push(await microsecondsInRedis(client, picked, operation));
    }
  }
  return Object.fromEntries(operations.map(({ name }, index) => [`${name}, µs`, median(costs[index] ?? [])]));
}
