/** What it costs to watch the sessions of open connections, beside the same process without a watch. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { RedisSessionStore } from "../session-store.ts";
import { SessionWatch } from "../session-watch.ts";
import { measureInTurn, median, readUntil, repeat } from "./measure.ts";
import type { Plan } from "./plan.ts";
import { timeInRedis } from "./redis-cost.ts";
import type { Client } from "./servers/redis-client.ts";
import { DATA, FIELDS, TTL } from "./session-data.ts";
import type { Row } from "./tables.ts";

const EVERY_MS = 5000;
const READ_EVERY_MS = 5; // the other requests: 200 reads a second

/** Each round watches for one interval. The connections are of as many sessions. */
export async function measureWatch(client: Client, { connections, rounds }: Plan["watch"]): Promise<Row[]> {
  await client.flushAll();
  const store = new RedisSessionStore({ redis: client, ttl: TTL, fields: FIELDS });
  const ids = await repeat(Math.max(...connections), () => store.createSession(DATA));
  const results = new Map<string, Interval[]>();
  const measures = Object.fromEntries(
    connections.map((count) => [
      String(count),
      async () => {
        const interval = await watchFor(ids.slice(0, count), ids, client, store);
        results.set(String(count), [...(results.get(String(count)) ?? []), interval]);
        return interval.cpu;
      },
    ]),
  );
  await measureInTurn(rounds, measures);
  return Array.from(results, ([count, [, ...intervals]]) => {
    const of = (value: keyof Interval) => median(intervals.map((interval) => interval[value]));
    return {
      connections: Number(count),
      "CPU of Node, % of a core": of("cpu"),
      "CPU of Redis, % of a core": of("redis"),
      "longest delay of the event loop, ms": of("delay"),
      "other reads, median, ms": of("median"),
      "other reads, 99th percentile, ms": of("p99"),
    };
  });
}

interface Interval {
  cpu: number;
  redis: number;
  delay: number;
  median: number;
  p99: number;
}

async function watchFor(
  watched: string[],
  ids: string[],
  client: Client,
  store: RedisSessionStore<typeof FIELDS>,
): Promise<Interval> {
  const watch = new SessionWatch(store, { everyMs: EVERY_MS });
  for (const id of watched) watch.add(id, () => console.error("A session has ended"));
  const loop = monitorEventLoopDelay({ resolution: 1 });
  let latencies = { median: NaN, p99: NaN };
  let cpu = 0;
  const timeOfScripts = await timeInRedis(client, ["EVALSHA"], async () => {
    loop.enable();
    const before = process.cpuUsage();
    const end = performance.now() + EVERY_MS;
    latencies = await readUntil(() => performance.now() >= end, store, ids, READ_EVERY_MS);
    const { user, system } = process.cpuUsage(before);
    cpu = (user + system) / 1000 / EVERY_MS;
    loop.disable();
  });
  watch.close();
  const { median: half, p99 } = latencies;
  return { cpu: 100 * cpu, redis: timeOfScripts / 10 / EVERY_MS, delay: loop.max / 1e6, median: half, p99 };
}
