/**
 * The store and the demo server beside what a user would pick instead: `npm run bench`. Prints tables, writes
 * `results.json` and draws the charts; with `-- --quick` it only prints. Timings are reported, never asserted.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { drawCharts } from "./chart.ts";
import { isPinned } from "./cores.ts";
import { measureGrowth } from "./growth.ts";
import { measureHttp, type MemoryResult } from "./http.ts";
import { startRedis } from "./redis.ts";
import { printReport } from "./report.ts";
import { measureStart } from "./start.ts";
import { rounded } from "./statistics.ts";
import { measureStore } from "./store.ts";
import { type Numbers, targetsOf } from "./targets.ts";

const FULL = {
  start: 5,
  http: { rounds: 5, secondsPerRound: 1, warmUpSeconds: 1, connections: 256, sessions: 1000 },
  store: { rounds: 5, operationsPerRound: { 1: 2000, 64: 5000, 1024: 5000 } },
  growth: { rounds: 5, operationsPerRound: 5000, sizes: [1000, 10_000, 100_000, 1_000_000] },
};
const QUICK: typeof FULL = {
  start: 2,
  http: { rounds: 2, secondsPerRound: 0.3, warmUpSeconds: 0.3, connections: 256, sessions: 1000 },
  store: { rounds: 2, operationsPerRound: { 1: 1000, 64: 1000, 1024: 1000 } },
  growth: { rounds: 3, operationsPerRound: 3000, sizes: [1000, 10_000] },
};
const PACKAGES = ["redis", "express", "express-session", "connect-redis", "fastify", "@fastify/session", "ejs"];

const QUIET_LOAD = 0.5;

const isQuick = process.argv.includes("--quick");
const plan = isQuick ? QUICK : FULL;
const begin = performance.now();
const [loadBefore = 0] = loadavg();
if (loadBefore > QUIET_LOAD) say(`the machine is busy (load ${loadBefore.toFixed(1)}): these numbers will tell little`);
const redis = await startRedis();
try {
  const start = await measureStart(redis, plan.start, say);
  const { results: http, memory } = await measureHttp(redis, plan.http, say);
  const store = await measureStore(redis, plan.store, say);
  const { growth, bytes } = await measureGrowth(plan.growth, say);
  const numbers = { http, memory, store, growth, bytes, start };
  printReport(numbers);
  if (!isQuick) keep(numbers);
} finally {
  await redis.stop();
}

function say(line: string): void {
  console.log(`${((performance.now() - begin) / 1000).toFixed(0).padStart(4)} s  ${line}`);
}

function keep(numbers: Numbers & { memory: MemoryResult[] }): void {
  const everything = { ...circumstances(redis.version), plan, targets: targetsOf(numbers), ...numbers };
  const path = fileURLToPath(new URL("results.json", import.meta.url));
  writeFileSync(path, `${JSON.stringify(everything, roundedValue, 2)}\n`);
  drawCharts(numbers.http, numbers.growth);
}

function circumstances(redisVersion: string) {
  const [cpu] = cpus();
  return {
    date: new Date().toISOString(),
    isPinned,
    loadBefore,
    machine: {
      cpu: cpu?.model,
      cores: cpus().length,
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      system: `${process.platform} ${release()}`,
    },
    versions: { node: process.version, redis: redisVersion, packages: Object.fromEntries(PACKAGES.map(versionOf)) },
  };
}

function versionOf(name: string): [string, string] {
  const path = fileURLToPath(new URL(`node_modules/${name}/package.json`, import.meta.url));
  const { version } = JSON.parse(readFileSync(path, "utf8")) as { version: string };
  return [name, version];
}

/** In JSON, what could not be measured is null. */
function roundedValue(_: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isInteger(value) ? rounded(value) : value;
}
