/**
 * What the session store and the demo server cost, beside what one would use instead. `npm run bench` takes six minutes
 * on a quiet machine, prints these tables and writes them to `docs/performance.md`. `npm run bench -- --quick` takes less
 * than a minute and only prints them.
 */
import { cpus, loadavg, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { measureGrowth } from "./growth.ts";
import { measureMemory } from "./memory.ts";
import { FULL, QUICK } from "./plan.ts";
import { MEASURED_CORE, pin, startRedis } from "./processes.ts";
import { measureOperations } from "./redis-cost.ts";
import { measureDemo, measureFrameworks } from "./requests.ts";
import { markdownTable, type Row, writeDocument } from "./tables.ts";
import { measureTimeLimit } from "./time-limit.ts";

const { values: options } = parseArgs({ options: { quick: { type: "boolean", default: false } } });
const plan = options.quick ? QUICK : FULL;
const tables: Record<string, string> = {};

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1)); // ends servers and Redis
const redis = await startRedis();
const machine = `${cpus().length} cores of ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
const run = `${machine}, Node ${process.versions.node}, Redis ${redis.version}; load average at the start ${loadavg()[0]?.toFixed(1)}.`;
console.log(run);
try {
  // Requests a second: the same application four times, then the demo server.
  await measure("frameworks", () => measureFrameworks(redis, plan.requests));
  await measure("demo", () => measureDemo(redis, plan.requests));

  // From here on, the store runs in this process.
  pin(process.pid, MEASURED_CORE);
  await measure("operations", () => measureOperations(redis, plan.operations));
  await measure("memory", () => measureMemory(redis, plan.memory));
  await measure("growth", () => measureGrowth(redis, plan.growth));
  await measure("time limit", () => measureTimeLimit(redis, plan.timeLimit));
} finally {
  await redis.stop();
}
if (!options.quick) {
  const date = new Date().toISOString().slice(0, 10);
  writeDocument({ run: `Measured on ${date}: ${run}`, ...tables });
}

async function measure(name: string, rowsOf: () => Promise<Row[]>): Promise<void> {
  const table = markdownTable(await rowsOf());
  console.log(`\n${name}, after ${process.uptime().toFixed(0)} s\n\n${table}`);
  tables[name] = table;
}
