/**
 * What the session store and the demo server cost, beside what one would use instead. `npm run bench` takes about five
 * minutes on a quiet machine, prints these tables and writes them to `docs/performance.md`. `npm run bench -- --quick`
 * takes half a minute and only prints them.
 */
import { cpus, loadavg, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { startPrivateRedis } from "../demo/process/private-redis.ts";
import { measureCpuCost } from "./cpu-cost.ts";
import { measureMemory } from "./memory.ts";
import { FULL, QUICK } from "./plan.ts";
import { MEASURED_CORE, OTHER_CORE, pin } from "./processes.ts";
import { measureOperations } from "./redis-cost.ts";
import { measureDemo, measureFrameworks } from "./requests.ts";
import { connectRedis, infoOf } from "./servers/redis-client.ts";
import { measureEnding } from "./ending.ts";
import { measureWatch } from "./watch.ts";
import { markdownTable, type Row, writeDocument } from "./tables.ts";

const { values: options } = parseArgs({ options: { quick: { type: "boolean", default: false } } });
const plan = options.quick ? QUICK : FULL;
const tables: Record<string, string> = {};

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1)); // ends servers and Redis
const redis = await startPrivateRedis();
const redisUrl = `redis://${redis.host}:${redis.port}`;
const client = await connectRedis(redisUrl);
pin(Number(await infoOf(client, "server", "process_id")), OTHER_CORE);

const version = await infoOf(client, "server", "redis_version");
const machine = `${cpus().length} cores of ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
const run = `${machine}, Node ${process.versions.node}, Redis ${version}; load average at the start ${loadavg()[0]?.toFixed(1)}.`;
console.log(run);

// Requests a second: the same application four times, then the demo server.
await measure("frameworks", () => measureFrameworks(redisUrl, plan.requests));
await measure("demo", () => measureDemo(redisUrl, plan.requests));

// From here on, the store runs in this process.
pin(process.pid, MEASURED_CORE);
await measure("cpu", () => measureCpuCost(client, plan.cpuCost));
await measure("operations", () => measureOperations(client, plan.operations));
await measure("memory", () => measureMemory(client, plan.memory));
await measure("watch", () => measureWatch(client, plan.watch));
await measure("ending", () => measureEnding(client, plan.ending));

client.destroy();
await redis.stop();
if (!options.quick) {
  const date = new Date().toISOString().slice(0, 10);
  writeDocument({ run: `Measured on ${date}: ${run}`, ...tables });
}

async function measure(name: string, rowsOf: () => Promise<Row[]>): Promise<void> {
  const table = markdownTable(await rowsOf());
  console.log(`\n${name}, after ${process.uptime().toFixed(0)} s\n\n${table}`);
  tables[name] = table;
}
