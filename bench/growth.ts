/** Memory and time of Redis by the number of sessions. */
import { randomInt } from "node:crypto";
import { RedisSessionStore } from "../session-store.ts";
import { measureInTurn, median, repeat } from "./measure.ts";
import { usedMemory } from "./memory.ts";
import type { Plan } from "./plan.ts";
import { timeInRedis, RETURN_1 } from "./redis-cost.ts";
import type { Client } from "./servers/redis-client.ts";
import { DATA, FIELDS, TTL } from "./session-data.ts";
import type { Row } from "./tables.ts";

/** The operations run on sessions picked at random: the more there are, the fewer are in the processor's cache. */
export async function measureGrowth(client: Client, { sizes, rounds, callsPerRound }: Plan["growth"]): Promise<Row[]> {
  await client.scriptLoad(RETURN_1.source);
  await client.flushAll();
  const bytesBefore = await usedMemory(client);
  const store = new RedisSessionStore({ redis: client, ttl: TTL, fields: FIELDS });
  const ids: string[] = [];
  const measure =
    (run: (id: string) => Promise<unknown>, command = "EVALSHA") =>
    async () => {
      const action = () => repeat(callsPerRound, () => run(ids[randomInt(ids.length)] ?? ""));
      return (await timeInRedis(client, [command], action)) / callsPerRound;
    };
  const operations = {
    "EVALSHA of return 1": measure(() => client.evalSha(RETURN_1.sha1)),
    "plain HGETALL": measure((id) => client.hGetAll(store.keyOf(id)), "HGETALL"),
    "getSession, refreshTtl: false": measure((id) => store.getSession(id, { refreshTtl: false })),
    setSessionTtl: measure((id) => store.setSessionTtl(id, TTL)),
  };
  const rows: Row[] = [];
  for (const size of sizes) {
    for (const id of await repeat(size - ids.length, () => store.createSession(DATA))) ids.push(id);
    const bytes = (await usedMemory(client)) - bytesBefore;
    const costs = await measureInTurn(rounds, operations);
    rows.push({
      sessions: size,
      MB: bytes / 1e6,
      "bytes each": bytes / size,
      ...Object.fromEntries(Object.keys(operations).map((name) => [`${name}, µs`, median(costs(name))])),
    });
  }
  return rows;
}
