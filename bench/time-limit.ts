/** What the time limit of the store's operations, `timeoutMs`, costs the client. */
import { RedisSessionStore } from "../session-store.ts";
import type { BenchRedis } from "./processes.ts";
import { EMPTY_SCRIPT } from "./redis-cost.ts";
import { repeat } from "./repeat.ts";
import { measureInTurn } from "./rounds.ts";
import { connectRedis } from "./servers/redis-client.ts";
import { median } from "./statistics.ts";
import type { Row } from "./table.ts";

export interface TimeLimitPlan {
  rounds: number;
  operationsPerRound: number;
}

const KEY = "session:none";
const AT_ONCE = 64;

class EmptyScriptStore extends RedisSessionStore {
  run(): Promise<unknown> {
    return this.evaluate(EMPTY_SCRIPT, KEY, [], this.startTimeLimit());
  }
}

/** The same script by the client alone, by the store, and by the store while timers do nothing. */
export async function measureTimeLimit(redis: BenchRedis, plan: TimeLimitPlan): Promise<Row[]> {
  const client = await connectRedis(redis.url);
  const store = new EmptyScriptStore({ redis: client });
  await store.run(); // caches the script
  const byClient = () => client.evalSha(EMPTY_SCRIPT.sha1, { keys: [KEY], arguments: [] });
  const byStore = () => store.run();
  const [clientCosts = [], storeCosts = [], withoutTimersCosts = []] = await measureInTurn(plan.rounds, [
    () => clientMicroseconds(plan.operationsPerRound, byClient),
    () => clientMicroseconds(plan.operationsPerRound, byStore),
    () => withoutTimers(() => clientMicroseconds(plan.operationsPerRound, byStore)),
  ]);
  client.destroy();
  return [
    {
      "CPU of the client": "µs for an empty script",
      "client alone": median(clientCosts),
      "through the store": median(storeCosts),
      "of which the timer": median(storeCosts.map((cost, round) => cost - (withoutTimersCosts[round] ?? Number.NaN))),
    },
  ];
}

async function clientMicroseconds(operations: number, run: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await repeat(operations, AT_ONCE, run);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / operations;
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
