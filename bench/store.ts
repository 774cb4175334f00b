import { RedisSessionStore } from "../session-store.ts";
import { MEASURED, pin } from "./cores.ts";
import { cpuTime } from "./process.ts";
import { type BenchRedis, type Client, connectByDefault, connectLikeDemo } from "./redis.ts";
import { byValue, median, medianRatio, percentile } from "./statistics.ts";

export interface StorePlan {
  rounds: number;
  /** Keyed by how many operations are in flight. */
  operationsPerRound: Record<number, number>;
}

/** What one side of a comparison did in one round. */
export interface Pace {
  operationsPerSecond: number;
  p99Ms: number;
  clientUsPerOperation: number;
  redisUsPerOperation: number;
}

export interface StoreResult {
  operation: string;
  command: string;
  inFlight: number;
  store: Pace;
  /** The raw command through a client with the same settings, and through one with node-redis' defaults. */
  raw: Pace;
  rawByDefault: Pace;
  /** Operations a second of the store over those of the raw command: the medians of the rounds' ratios. */
  ratio: number;
  ratioToDefault: number;
}

type Data = { username: string; page_views: number };
type Store = RedisSessionStore<Data>;
type Run = (id: string) => Promise<unknown>;

const DATA: Data = { username: "andrew", page_views: 1 };
const TTL = 1800; // seconds
const LATER = 5; // seconds

export const GET_SESSION = "getSession";

interface Operation {
  name: string;
  /** What it cannot do without. */
  command: string;
  store: (store: Store) => Run;
  raw: (client: Client) => Run;
  /** Whether the sessions are some seconds old, so that a read starts their idle limit anew. */
  isLater?: boolean;
}

const OPERATIONS: Operation[] = [
  {
    name: "createSession",
    command: "HSET",
    store: (store) => () => store.createSession(DATA),
    raw: (client) => (id) => client.hSet(`new:${id}`, { ...DATA, session_ttl: TTL }),
  },
  {
    name: GET_SESSION,
    command: "HGETALL",
    store: (store) => (id) => store.getSession(id),
    raw: (client) => (id) => client.hGetAll(`session:${id}`),
  },
  {
    name: "getSession, which refreshes",
    command: "HGETALL",
    store: (store) => (id) => store.getSession(id),
    raw: (client) => (id) => client.hGetAll(`session:${id}`),
    isLater: true,
  },
  {
    name: "getSession, refreshTtl: false",
    command: "HGETALL",
    store: (store) => (id) => store.getSession(id, { refreshTtl: false }),
    raw: (client) => (id) => client.hGetAll(`session:${id}`),
  },
  {
    name: "updateSession",
    command: "HSET",
    store: (store) => (id) => store.updateSession(id, { username: "someone" }),
    raw: (client) => (id) => client.hSet(`session:${id}`, { username: "someone" }),
  },
  {
    name: "incrementField",
    command: "HINCRBY",
    store: (store) => (id) => store.incrementField(id, "page_views"),
    raw: (client) => (id) => client.hIncrBy(`session:${id}`, "page_views", 1),
  },
  {
    name: "setSessionTtl",
    command: "EXPIRE",
    store: (store) => (id) => store.setSessionTtl(id, TTL),
    raw: (client) => (id) => client.expire(`session:${id}`, TTL),
  },
  {
    name: "getTtl",
    command: "TTL",
    store: (store) => (id) => store.getTtl(id),
    raw: (client) => (id) => client.ttl(`session:${id}`),
  },
  {
    name: "rotateSession",
    command: "RENAME",
    store: (store) => (id) => store.rotateSession(id),
    raw: (client) => (id) => client.rename(`session:${id}`, `new:${id}`),
  },
  {
    name: "deleteSession",
    command: "DEL",
    store: (store) => (id) => store.deleteSession(id),
    raw: (client) => (id) => client.del(`session:${id}`),
  },
];

export async function measureStore(
  redis: BenchRedis,
  plan: StorePlan,
  say: (line: string) => void,
): Promise<StoreResult[]> {
  pin(process.pid, MEASURED);
  const client = await connectLikeDemo(redis);
  const defaultClient = await connectByDefault(redis);
  const store: Store = new RedisSessionStore<Data>({ redis: client, ttl: TTL });
  const results: StoreResult[] = [];
  for (const [key, operationsPerRound] of Object.entries(plan.operationsPerRound)) {
    const inFlight = Number(key);
    say(`the store, ${inFlight} in flight`);
    for (const operation of OPERATIONS) {
      const sides = [operation.store(store), operation.raw(client), operation.raw(defaultClient)];
      const paces = sides.map((): Pace[] => []);
      for (let round = 0; round <= plan.rounds; round += 1) {
        for (const [side, run] of sides.entries()) {
          const ids = await createSessions(store, operationsPerRound);
          if (operation.isLater) await Promise.all(ids.map((id) => client.expire(store.keyOf(id), TTL - LATER)));
          const pace = await measurePace(redis, ids, inFlight, run);
          if (round > 0) paces[side]?.push(pace); // the first round warms up
          await client.flushDb();
        }
      }
      results.push(summarize(operation.name, operation.command, inFlight, paces));
    }
  }
  client.destroy();
  defaultClient.destroy();
  return results;
}

/** IDs of new sessions. */
export async function createSessions(store: Store, count: number): Promise<string[]> {
  const BATCH = 1000;
  const ids: string[] = [];
  while (ids.length < count) {
    const size = Math.min(BATCH, count - ids.length);
    ids.push(...(await Promise.all(Array.from({ length: size }, () => store.createSession(DATA)))));
  }
  return ids;
}

/** Runs an operation once on each ID, so many at a time. */
export async function measurePace(redis: BenchRedis, ids: string[], inFlight: number, run: Run): Promise<Pace> {
  const latencies = new Float64Array(ids.length);
  const redisBefore = cpuTime(redis.pid);
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  let next = 0;
  await Promise.all(Array.from({ length: inFlight }, work));
  const elapsedMs = performance.now() - start;
  const { user, system } = process.cpuUsage(cpuBefore);
  return {
    operationsPerSecond: (ids.length / elapsedMs) * 1000,
    p99Ms: percentile(latencies.toSorted(byValue), 99),
    clientUsPerOperation: (user + system) / ids.length,
    redisUsPerOperation: (cpuTime(redis.pid) - redisBefore) / ids.length,
  };

  async function work(): Promise<void> {
    while (next < ids.length) {
      const number = next;
      next += 1;
      const sentAt = performance.now();
      await run(ids[number] ?? "");
      latencies[number] = performance.now() - sentAt;
    }
  }
}

export function medianPace(paces: Pace[]): Pace {
  const of = (key: keyof Pace) => median(paces.map((pace) => pace[key]));
  return {
    operationsPerSecond: of("operationsPerSecond"),
    p99Ms: of("p99Ms"),
    clientUsPerOperation: of("clientUsPerOperation"),
    redisUsPerOperation: of("redisUsPerOperation"),
  };
}

export const paceRatio = (paces: Pace[], others: Pace[]): number =>
  medianRatio(
    paces.map(({ operationsPerSecond }) => operationsPerSecond),
    others.map(({ operationsPerSecond }) => operationsPerSecond),
  );

function summarize(operation: string, command: string, inFlight: number, paces: Pace[][]): StoreResult {
  const [store = [], raw = [], rawByDefault = []] = paces;
  return {
    operation,
    command,
    inFlight,
    store: medianPace(store),
    raw: medianPace(raw),
    rawByDefault: medianPace(rawByDefault),
    ratio: paceRatio(store, raw),
    ratioToDefault: paceRatio(store, rawByDefault),
  };
}
