import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "redis";
import { RedisUnavailableError } from "../session-store.ts";
import { type NamedRedis, StartError } from "./options.ts";
import type { OutageLog } from "./outage-log.ts";
import { startPrivateRedis } from "./private-redis.ts";

const PING_EVERY_MS = 200;
const PING_LIMIT_MS = 700;
const BUSY_MS = 100;

type Client = ReturnType<typeof newClient>;

/** A Redis that is connected, and how to leave it. */
export interface Redis {
  client: Client;
  /** For people: where it is, without a password. */
  address: string;
  /** Milliseconds until a key expires; negative where there is none. */
  timeLeft: (key: string) => Promise<number>;
  close: () => Promise<void>;
}

/**
 * The Redis that was named; else the one at localhost:6379; else a private one.
 * Rejects with a `StartError` where a Redis was named and is not there.
 */
export async function openRedis(named: NamedRedis, outages: OutageLog): Promise<Redis> {
  const { redisHost = "localhost", redisPort = 6379 } = named;
  const host = redisHost.includes(":") ? `[${redisHost}]` : redisHost;
  const url = new URL(named.redisUrl ?? `redis://${host}:${redisPort}`);
  try {
    return await connect(url, outages);
  } catch (error) {
    if (named.redisUrl ?? named.redisHost ?? named.redisPort) throw notThere(url, error);
  }
  const privateRedis = await startPrivateRedis(sayThatItBuilds);
  const redis = await connect(new URL(`redis://${privateRedis.host}:${privateRedis.port}`), outages);
  return {
    ...redis,
    address: `${redis.address} (private, in memory, gone when this server stops)`,
    async close() {
      try {
        await redis.close();
      } finally {
        await privateRedis.stop();
      }
    },
  };
}

async function connect(url: URL, outages: OutageLog): Promise<Redis> {
  let ready = false;
  const client = newClient(url.href, () => ready);
  client.on("error", (error: Error) => ready && outages.failed(describe(error)));
  client.on("ready", () => outages.recovered());
  try {
    await client.connect();
  } catch (error) {
    client.destroy();
    throw error;
  }
  ready = true;
  const closing = new AbortController();
  giveUpWhereItHangs(client, outages, closing.signal).catch((error) => outages.failed(describe(error)));
  return {
    client,
    address: `${url.hostname}:${url.port || 6379}`,
    async timeLeft(key) {
      try {
        return await client.pTTL(key);
      } catch (error) {
        throw new RedisUnavailableError(describe(error), { cause: error });
      }
    },
    async close() {
      closing.abort();
      if (client.isReady) await client.close();
      else client.destroy();
    },
  };
}

/**
 * Set so that a command never waits for a connection, and a Redis that is back is used within a second. The command
 * timeout is off: it stops counting once a command is written to the socket, so it would not guard against a Redis that
 * hangs, and costs a timer for each command.
 */
function newClient(url: string, hasBeenReady: () => boolean) {
  return createClient({
    url,
    disableOfflineQueue: true,
    commandOptions: { timeout: 0 },
    socket: {
      connectTimeout: PING_LIMIT_MS,
      socketTimeout: 1000,
      reconnectStrategy: (retries) => hasBeenReady() && Math.min(50 * 2 ** retries, 500),
    },
  });
}

/**
 * Gives a connection up when Redis leaves a PING unanswered: what waits on it fails, within a second, and a new
 * connection is tried. node-redis' own `socketTimeout` sees to an idle connection only, as it takes what we send for a
 * sign of life: under load, requests to a Redis that hangs would wait for as long as it hangs.
 */
async function giveUpWhereItHangs(client: Client, outages: OutageLog, closing: AbortSignal): Promise<void> {
  while (!closing.aborted) {
    await sleep(PING_EVERY_MS, undefined, { ref: false });
    if (!client.isReady) continue;
    if ((await comesInTime(client.ping())) || closing.aborted) continue;
    outages.failed(`no answer to a PING within ${PING_LIMIT_MS} ms`);
    client.destroy();
    client.connect().catch(() => {}); // it tries again by itself, and "error" tells of each failure
  }
}

/** A timer that rings late tells of ourselves, who were too busy to listen: then the answer gets its time once more. */
async function comesInTime(answer: Promise<unknown>): Promise<boolean> {
  const start = performance.now();
  const came = answer.then(
    () => true,
    () => true,
  );
  if (await Promise.race([came, sleep(PING_LIMIT_MS, false, { ref: false })])) return true;
  return performance.now() - start > PING_LIMIT_MS + BUSY_MS && comesInTime(answer);
}

function notThere(url: URL, error: unknown): StartError {
  return new StartError(
    `No Redis at ${url.hostname}:${url.port || 6379} (${describe(error)}). ` +
      "Start one there, name another with --redis-host and --redis-port, or name none to get a private one.",
  );
}

/** A refused connection to "localhost" is an AggregateError, whose message is empty and whose code tells. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message || ("code" in error ? String(error.code) : error.name);
}

function sayThatItBuilds(): void {
  console.log(
    "No redis-server on this machine: using one built from source. The first time, that takes a few minutes …",
  );
}
