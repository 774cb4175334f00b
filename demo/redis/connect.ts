/**
 * Start here to read how the demo connects to Redis. There is a file for each kind of Redis: `single.ts`, `cluster.ts`,
 * `sentinel.ts`, `private.ts`. `watchdog.ts` replaces a connection that fails.
 */
import { RedisUnavailableError } from "../../session-store.ts";
import { connectCluster } from "./cluster.ts";
import type { RedisCommands, RedisConnection } from "./connection.ts";
import { cannotConnect, describeError } from "./errors.ts";
import { MonitoredConnection } from "./watchdog.ts";
import { startPrivateRedis } from "./private.ts";
import { connectSentinel, Sentinels } from "./sentinel.ts";
import { connectSingle } from "./single.ts";
import { addressOf, type RedisTarget } from "./target.ts";

/** What the rest of the demo knows of Redis. */
export interface Redis {
  client: RedisCommands;
  /** For people: host and port, without a password. */
  address: string;
  /** Rejects unless every master replies. */
  ping: () => Promise<void>;
  /** Starts the watchdog, which replaces a connection that fails. `onFailure` is called with every reason. */
  watch: (onFailure: (reason: string) => void) => void;
  /** Closes the connection, and stops a private Redis. */
  close: () => Promise<void>;
}

const DEFAULT_TARGET: RedisTarget = { kind: "single", host: "localhost", port: 6379 };

/**
 * Connects to the Redis that was named. If none was named, connects to localhost:6379, or else starts a private Redis.
 * Rejects with a `StartError` if a Redis was named and there is no connection to it.
 */
export async function openRedis(named: RedisTarget | undefined): Promise<Redis> {
  try {
    return await connect(named ?? DEFAULT_TARGET);
  } catch (error) {
    if (named !== undefined) throw cannotConnect(named, error);
  }
  const { host, port, stop } = await startPrivateRedis(logBuild);
  try {
    const redis = await connect({ kind: "single", host, port });
    const address = `${redis.address} (private, in memory, gone when this server stops)`;
    return { ...redis, address, close: () => redis.close().then(stop) };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function connect(target: RedisTarget): Promise<Redis> {
  const connection = new MonitoredConnection(await connectByKind(target));
  const { commands } = connection;
  const describe = (error: unknown) => describeError(error, target.password);
  const asUnavailable = (error: unknown) => {
    throw new RedisUnavailableError(describe(error), { cause: error });
  };
  return {
    client: commands,
    address: addressOf(target),
    ping: () => connection.ping().catch(asUnavailable),
    watch: (onFailure) => connection.watch((error) => onFailure(describe(error))),
    close: () => connection.close(),
  };
}

function connectByKind(target: RedisTarget): Promise<RedisConnection> {
  if (target.kind === "cluster") return connectCluster(target, target);
  if (target.kind === "sentinel") return connectSentinel(new Sentinels(target.masterName, target, target), target);
  return connectSingle(target, target);
}

function logBuild(): void {
  console.log(
    "No redis-server on this machine: using one built from source. The first time, that takes a few minutes …",
  );
}
