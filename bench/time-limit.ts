/** What the store's option `timeoutMs` costs the client: a timer for each operation. */
import { newSessionId, RedisSessionStore } from "../session-store.ts";
import { measureInTurn, median, repeat } from "./measure.ts";
import type { Plan } from "./plan.ts";
import type { Redis } from "./processes.ts";
import { connectRedis } from "./servers/redis-client.ts";
import type { Row } from "./tables.ts";

const TIMERS = { setTimeout, clearTimeout };
const NO_TIMERS = { setTimeout: () => {}, clearTimeout: () => {} };

/** The CPU time of a short operation, and of the same operation while timers do nothing. */
export async function measureTimeLimit(redis: Redis, plan: Plan["timeLimit"]): Promise<Row[]> {
  const client = await connectRedis(redis.url);
  const store = new RedisSessionStore({ redis: client });
  const noSession = newSessionId();
  const measureWith = (timers: object) => async () => {
    Object.assign(globalThis, timers);
    const before = process.cpuUsage();
    await repeat(plan.operationsPerRound, () => store.getSession(noSession)).finally(restoreTimers);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / plan.operationsPerRound;
  };
  const costs = await measureInTurn(plan.rounds, { timers: measureWith(TIMERS), none: measureWith(NO_TIMERS) });
  client.destroy();
  const [withTimers, without] = [costs("timers"), costs("none")];
  const differences = withTimers.map((cost, round) => cost - (without[round] ?? Number.NaN));
  return [
    {
      operation: "getSession without a session",
      "CPU time, µs": median(withTimers),
      "of which timeoutMs, µs": median(differences),
    },
  ];
}

function restoreTimers(): void {
  Object.assign(globalThis, TIMERS);
}
