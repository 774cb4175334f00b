/** The time that each operation takes inside Redis, from `INFO commandstats`. */
import { defineScript, RedisSessionStore } from "../session-store.ts";
import type { BenchRedis } from "./processes.ts";
import { repeat } from "./repeat.ts";
import { measureInTurn } from "./rounds.ts";
import { type Client, connectRedis } from "./servers/redis-client.ts";
import { DATA, expressSession, FIELDS } from "./session-data.ts";
import { median, medianRatio } from "./statistics.ts";
import type { Row } from "./table.ts";

export interface RedisCostPlan {
  rounds: number;
  sessionsPerRound: number;
}

export interface Operation {
  name: string;
  /** What is sent to Redis. The commands that a script runs are part of its `EVALSHA`. Default: `["EVALSHA"]`. */
  commands?: string[];
  /** What each session's expiry is set to beforehand, in seconds. */
  expireIn?: number;
  run: (id: string, index: number) => Promise<unknown>;
}

const TTL = 1800; // seconds
const AT_ONCE = 64;
const SCRIPT = "EVALSHA";

/** The least that any script costs: the unit for the cost of the others. */
export const EMPTY_SCRIPT = defineScript("return 1");

export const keyOf = (id: string): string => `session:${id}`;
const connectRedisKey = (id: string) => `sess:${id}`;

/** Each round creates sessions, runs every operation once on each, and deletes them. */
export async function measureRedisCost(redis: BenchRedis, { rounds, sessionsPerRound }: RedisCostPlan): Promise<Row[]> {
  const client = await connectRedis(redis.url);
  await client.scriptLoad(EMPTY_SCRIPT.source);
  const ids: string[] = Array.from({ length: sessionsPerRound }, () => "");
  const operations = lifeOfSessions(client, ids);
  const costs = await measureInTurn(
    rounds,
    operations.map((operation) => () => microsecondsInRedis(client, ids, operation)),
  );
  client.destroy();
  return operations.map(({ name, commands = [SCRIPT] }, index) => ({
    operation: name,
    "sent to Redis": commands.join(", "),
    "µs in Redis": median(costs[index] ?? []),
    "times empty script": medianRatio(costs[index] ?? [], costs[0] ?? []),
  }));
}

/** What happens to sessions from creation to deletion. Operations that make new IDs write them to `ids`. */
function lifeOfSessions(client: Client, ids: string[]): Operation[] {
  const store = new RedisSessionStore({ redis: client, ttl: TTL, fields: FIELDS });
  return [
    { name: "empty script", run: () => client.evalSha(EMPTY_SCRIPT.sha1) },
    { name: "createSession", run: async (_, index) => (ids[index] = await store.createSession(DATA)) },
    { name: "getSession, not due for a refresh", expireIn: TTL, run: (id) => store.getSession(id) },
    { name: "getSession, refreshing", expireIn: TTL - 5, run: (id) => store.getSession(id) },
    { name: "getSession, refreshTtl: false", run: (id) => store.getSession(id, { refreshTtl: false }) },
    { name: "incrementField", expireIn: TTL, run: (id) => store.incrementField(id, "page_views") },
    { name: "updateSession", expireIn: TTL, run: (id) => store.updateSession(id, { username: "someone" }) },
    { name: "setSessionTtl", run: (id) => store.setSessionTtl(id, TTL) },
    { name: "rotateSession", run: async (id, index) => (ids[index] = (await store.rotateSession(id)) ?? "") },
    { name: "plain HGETALL", commands: ["HGETALL"], run: (id) => client.hGetAll(keyOf(id)) },
    { name: "plain HINCRBY", commands: ["HINCRBY"], run: (id) => client.hIncrBy(keyOf(id), "page_views", 1) },
    { name: "deleteSession", run: (id) => store.deleteSession(id) },
    {
      name: "connect-redis, set",
      commands: ["SET"],
      run: (id) =>
        client.set(connectRedisKey(id), expressSession(DATA, TTL), { expiration: { type: "EX", value: TTL } }),
    },
    {
      name: "connect-redis, get and touch",
      commands: ["GET", "EXPIRE"],
      run: async (id) => {
        await client.get(connectRedisKey(id));
        await client.expire(connectRedisKey(id), TTL);
      },
    },
  ];
}

/** Runs an operation once on each session; returns what one took inside Redis. */
export async function microsecondsInRedis(client: Client, ids: string[], operation: Operation): Promise<number> {
  const { expireIn, commands = [SCRIPT], run } = operation;
  if (expireIn !== undefined) await Promise.all(ids.map((id) => client.expire(keyOf(id), expireIn)));
  await client.configResetStat();
  await repeat(ids.length, AT_ONCE, (index) => run(ids[index] ?? "", index));
  const statistics = await client.info("commandstats");
  const microseconds = commands.map((command) => {
    return Number(new RegExp(`^cmdstat_${command}:calls=\\d+,usec=(\\d+)`, "im").exec(statistics)?.[1]);
  });
  return microseconds.reduce((sum, time) => sum + time, 0) / ids.length;
}
