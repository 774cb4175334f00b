/** What the time limit of the store's operations, `timeoutMs`, costs the client. */
import { defineScript, RedisSessionStore } from "../session-store.ts";
import type { BenchRedis } from "./processes.ts";
import { connectRedis } from "./servers/redis-client.ts";
import { median } from "./statistics.ts";
import type { Row } from "./table.ts";

export interface TimeLimitPlan {
  rounds: number;
  operationsPerRound: number;
}

const KEY = "session:none";
const IN_FLIGHT = 64;
const EMPTY_SCRIPT = defineScript("return 1");

class EmptyScriptStore extends RedisSessionStore {
  run(): Promise<unknown> {
    return this.evaluate(EMPTY_SCRIPT, KEY, [], this.startTimeLimit());
  }
}

/** The same script by the client alone, by the store, and by the store while timers do nothing. */
export async function measureTimeLimit(redis: BenchRedis, plan: TimeLimitPlan): Promise<Row[]> {
  const client = await connectRedis(redis.url);
  await client.scriptLoad(EMPTY_SCRIPT.source);
  const store = new EmptyScriptStore({ redis: client });
  const byClient = () => client.evalSha(EMPTY_SCRIPT.sha1, { keys: [KEY], arguments: [] });
  const byStore = () => store.run();
  const costs: { client: number; store: number; storeWithoutTimers: number }[] = [];
  for (let round = 0; round <= plan.rounds; round += 1) {
    const cost = {
      client: await clientMicroseconds(plan, byClient),
      store: await clientMicroseconds(plan, byStore),
      storeWithoutTimers: await withoutTimers(() => clientMicroseconds(plan, byStore)),
    };
    if (round > 0) costs.push(cost); // the first round warms up
  }
  client.destroy();
  return [
    {
      "CPU of the client": "µs for an empty script",
      "client alone": median(costs.map((cost) => cost.client)),
      store: median(costs.map((cost) => cost.store)),
      "of which the timer": median(costs.map((cost) => cost.store - cost.storeWithoutTimers)),
    },
  ];
}

async function clientMicroseconds({ operationsPerRound }: TimeLimitPlan, run: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  for (let done = 0; done < operationsPerRound; done += IN_FLIGHT) {
    await Promise.all(Array.from({ length: IN_FLIGHT }, run));
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / operationsPerRound;
}

async function withoutTimers<Result>(measure: () => Promise<Result>): Promise<Result> {
  const { setTimeout, clearTimeout } = globalThis;
  Object.assign(globalThis, { setTimeout: () => {}, clearTimeout: () => {} });
  try {
    return await measure();
  } finally {
    Object.assign(globalThis, { setTimeout, clearTimeout });
  }
}
