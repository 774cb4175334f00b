/** What each operation costs Redis: the time of its commands in `INFO commandstats`. */
import { RedisStore } from "connect-redis";
import { RedisSessionStore } from "../session-store.ts";
import { type Measure, measureInTurn, median, medianRatio, repeat } from "./measure.ts";
import type { Plan } from "./plan.ts";
import type { Client } from "./servers/redis-client.ts";
import { DATA, FIELDS, toExpressSession, TTL } from "./session-data.ts";
import type { Row } from "./tables.ts";

type Operation = (id: string) => Promise<unknown>;

const EVALSHA = ["EVALSHA"];

/** The least that any script costs: the unit for all others. */
const UNIT = "EVALSHA of return 1";

/**
 * On a hundred sessions, which stay in the processor's cache, and on ten thousand, which do not. `return 1` reads no
 * session, so it is always in the cache.
 */
export async function measureOperations(client: Client, plan: Plan["operations"]): Promise<Row[]> {
  const hundred = await operationsOn(client, 100, 20);
  const costsOfHundred = await measureInTurn(plan.roundsOfHundred, hundred);
  const tenThousand = await operationsOn(client, 10_000, 1);
  const costsOfTenThousand = await measureInTurn(plan.roundsOfTenThousand, tenThousand);
  return Object.keys(hundred).map((operation) => ({
    operation,
    "µs (100)": median(costsOfHundred(operation)),
    "times return 1 (100)": medianRatio(costsOfHundred(operation), costsOfHundred(UNIT)),
    "µs (10,000)": median(costsOfTenThousand(operation)),
    "times return 1 (10,000)": medianRatio(costsOfTenThousand(operation), costsOfTenThousand(UNIT)),
  }));
}

/** Each runs once on every session, and again in each further pass. */
async function operationsOn(client: Client, sessions: number, passes: number): Promise<Record<string, Measure>> {
  const store = new RedisSessionStore({ redis: client, ttl: TTL, fields: FIELDS });
  const connectRedisStore = new RedisStore({ client, prefix: "sess:", ttl: TTL });
  const session = toExpressSession(DATA);
  const ids = await repeat(sessions, () => store.createSession(DATA));
  ids.sort(); // IDs are random, so this is another order than that of their memory
  const returnOne = await client.scriptLoad("return 1");
  const ownIds: string[] = []; // of the sessions that are created, rotated and deleted

  const measure =
    (run: Operation, commands = EVALSHA, expireIn?: number) =>
    async () => {
      const microseconds = await timeInRedis(client, commands, async () => {
        for (let pass = 0; pass < passes; pass += 1) {
          if (expireIn !== undefined) await Promise.all(ids.map((id) => client.expire(store.keyOf(id), expireIn)));
          await repeat(ids.length, (index) => run(ids[index] ?? ""));
        }
      });
      return microseconds / (sessions * passes);
    };
  const measureNotRefreshing = (run: Operation) => measure(run, EVALSHA, TTL); // the last reset was just now
  const measureRefreshing = (run: Operation) => measure(run, EVALSHA, TTL - 5); // the last reset was 5 seconds ago

  return {
    [UNIT]: measure(() => client.evalSha(returnOne)),
    "plain HGETALL": measure((id) => client.hGetAll(store.keyOf(id)), ["HGETALL"]),
    "getSession, not refreshing": measureNotRefreshing((id) => store.getSession(id)),
    "getSession, refreshing": measureRefreshing((id) => store.getSession(id)),
    "incrementField, not refreshing": measureNotRefreshing((id) => store.incrementField(id, "page_views")),
    "incrementField, refreshing": measureRefreshing((id) => store.incrementField(id, "page_views")),
    "updateSession, not refreshing": measureNotRefreshing((id) => store.updateSession(id, { username: "someone" })),
    setSessionTtl: measure((id) => store.setSessionTtl(id, TTL)),
    createSession: measure(async () => ownIds.push(await store.createSession(DATA))),
    rotateSession: measure(async () => ownIds.push((await store.rotateSession(ownIds.shift())) ?? "")),
    deleteSession: measure(() => store.deleteSession(ownIds.shift())),
    "connect-redis, set": measure((id) => connectRedisStore.set(id, session), ["SET"]),
    "connect-redis, get and touch": measure(
      async (id) => {
        await connectRedisStore.get(id);
        await connectRedisStore.touch(id, session);
      },
      ["GET", "EXPIRE"],
    ),
  };
}

/** The microseconds that Redis spends in commands during an action. What a script runs is part of its `EVALSHA`. */
export async function timeInRedis(client: Client, commands: string[], action: () => Promise<unknown>): Promise<number> {
  await client.configResetStat();
  await action();
  const statistics = await client.info("commandstats");
  const microseconds = commands.map((command) => {
    return Number(new RegExp(`^cmdstat_${command}:calls=\\d+,usec=(\\d+)`, "im").exec(statistics)?.[1]);
  });
  return microseconds.reduce((sum, time) => sum + time, 0);
}
