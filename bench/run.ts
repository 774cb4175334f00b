/**
 * The session store and the demo server beside what one would use instead. `npm run bench` prints tables and keeps
 * them: in `results.json`, `chart.svg` and `docs/performance.md`. `npm run bench -- --quick` takes a minute and only prints.
 */
import { parseArgs } from "node:util";
import { capacity } from "./capacity.ts";
import { measureGrowth } from "./growth.ts";
import { BUSY_LIMIT, coresBusy, MEASURED_CORE, pin } from "./machine.ts";
import { measureMemory, measureUserMemory } from "./memory.ts";
import { startRedis } from "./processes.ts";
import { publish } from "./publish.ts";
import { measureRedisCost } from "./redis-cost.ts";
import { measureRequests } from "./requests.ts";
import { markdownTable, type Row } from "./table.ts";
import { measureTimeLimit } from "./time-limit.ts";

const FULL = {
  requests: { rounds: 7, secondsPerRound: 1, connections: 256, sessions: 1000 },
  redisCost: { rounds: 20, sessionsPerRound: 2000 },
  timeLimit: { rounds: 40, operationsPerRound: 5120 },
  memory: { sessions: 10_000 },
  growth: { rounds: 15, sessionsPerRound: 2000, sizes: [1000, 10_000, 100_000, 1_000_000] },
};
const QUICK: typeof FULL = {
  requests: { rounds: 3, secondsPerRound: 0.3, connections: 256, sessions: 200 },
  redisCost: { rounds: 10, sessionsPerRound: 1000 },
  timeLimit: { rounds: 10, operationsPerRound: 2560 },
  memory: { sessions: 1000 },
  growth: { rounds: 3, sessionsPerRound: 1000, sizes: [1000, 10_000] },
};

const { values: options } = parseArgs({ options: { quick: { type: "boolean", default: false } } });
const plan = options.quick ? QUICK : FULL;
const start = performance.now();
let mostCoresBusy = 0;

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1)); // ends servers and Redis
const redis = await startRedis();
try {
  const { frameworks, demo, readCost } = await phase("requests a second", () => measureRequests(redis, plan.requests));
  pin(process.pid, MEASURED_CORE);
  const redisCost = await phase("cost in Redis", () => measureRedisCost(redis, plan.redisCost));
  const timeLimit = await phase("time limit", () => measureTimeLimit(redis, plan.timeLimit));
  const memory = await phase("memory", () => measureMemory(redis, plan.memory.sessions));
  const userMemory = await phase("memory of users", () => measureUserMemory(redis, plan.memory.sessions));
  const growth = await phase("growth", () => measureGrowth(redis, plan.growth));
  const tables = {
    frameworks,
    demo,
    redisCost,
    timeLimit,
    memory,
    userMemory,
    growth,
    capacity: capacity(readCost, growth),
  };
  print(tables);
  if (!options.quick) publish({ redisVersion: redis.version, coresBusy: mostCoresBusy, tables });
} finally {
  await redis.stop();
}

async function phase<Result>(name: string, measure: () => Promise<Result>): Promise<Result> {
  const busy = await coresBusy();
  mostCoresBusy = Math.max(mostCoresBusy, busy);
  console.log(`${((performance.now() - start) / 1000).toFixed(0).padStart(4)} s  ${name}`);
  if (busy > BUSY_LIMIT) console.log(`        the machine is busy: other programs use ${busy.toFixed(1)} cores`);
  return measure();
}

function print(tables: Record<string, Row[]>): void {
  for (const [name, rows] of Object.entries(tables)) console.log(`\n${name}\n\n${markdownTable(rows)}`);
  if (mostCoresBusy > BUSY_LIMIT) {
    console.log(`\nOther programs used up to ${mostCoresBusy.toFixed(1)} cores. Repeat this on a quiet machine.`);
  }
}
