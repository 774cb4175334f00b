/** How long other users wait while many sessions of one user are ended. */
import { setTimeout as sleep } from "node:timers/promises";
import { UserSessions } from "../user-sessions.ts";
import { type Latencies, median, readUntil, repeat } from "./measure.ts";
import type { Plan } from "./plan.ts";
import type { Client } from "./servers/redis-client.ts";
import { DATA, FIELDS, TTL } from "./session-data.ts";
import type { Row } from "./tables.ts";

const USER = "andrew";
const READ_EVERY_MS = 1;
const ALONE_MS = 1000;

/** Other sessions are read through the same connection. One more round comes first, to warm up. */
export async function measureEnding(client: Client, { sessions, rounds }: Plan["ending"]): Promise<Row[]> {
  await client.flushAll();
  const store = new UserSessions({ redis: client, ttl: TTL, fields: FIELDS, timeoutMs: 60_000 });
  const others = await repeat(1000, () => store.createSession(DATA));
  const actions: Record<string, () => Promise<unknown>> = {
    nothing: () => sleep(ALONE_MS),
    [`endSessions, ${sessions.toLocaleString("en")} sessions`]: () => store.endSessions(USER),
  };
  const results = Object.keys(actions).map((): Meanwhile[] => []);
  for (let round = 0; round <= rounds; round += 1) {
    await repeat(sessions, () => store.createSession(DATA, { user: USER }));
    for (const [i, action] of Object.values(actions).entries()) results[i]?.push(await readDuring(action));
  }
  return Object.keys(actions).map((meanwhile, i) => {
    const of = (value: keyof Meanwhile) => median(results[i]?.slice(1).map((result) => result[value]) ?? []);
    return {
      meanwhile,
      "it takes, ms": of("took"),
      "other reads, median, ms": of("median"),
      "99th percentile, ms": of("p99"),
      "longest, ms": of("longest"),
    };
  });

  async function readDuring(action: () => Promise<unknown>): Promise<Meanwhile> {
    const start = performance.now();
    let took = 0;
    const acting = action().finally(() => (took = performance.now() - start));
    const latencies = await readUntil(() => took > 0, store, others, READ_EVERY_MS);
    await acting;
    return { took, ...latencies };
  }
}

interface Meanwhile extends Latencies {
  took: number;
}
