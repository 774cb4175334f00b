import { RedisUnavailableError } from "../../session-store.ts";
import { connectCluster } from "./cluster.ts";
import { cannotConnect } from "./connect-error.ts";
import { describeError } from "./describe-error.ts";
import { startPrivateRedis } from "./private.ts";
import { connectSentinel, Sentinels } from "./sentinel.ts";
import { connectSingle, type RedisCommands, type RedisConnection } from "./single.ts";
import { addressOf, type RedisTarget } from "./target.ts";
import { MonitoredConnection } from "./watchdog.ts";

/** A Redis that is connected, and how to leave it. */
export interface Redis {
  client: RedisCommands;
  /** For people: where it is, without a password. */
  address: string;
  /** Rejects unless every master replies. */
  ping: () => Promise<void>;
  /** Replaces the connection from now on when it no longer serves, and tells why each time. */
  watch: (onFailure: (reason: string) => void) => void;
  close: () => Promise<void>;
}

const BY_DEFAULT: RedisTarget = { kind: "single", host: "localhost", port: 6379 };

/**
 * The Redis that was named; if none was, the one at localhost:6379; without that, a private one.
 * Rejects with a `StartError` if a Redis was named and cannot be reached.
 */
export async function openRedis(named: RedisTarget | undefined): Promise<Redis> {
  try {
    return await connect(named ?? BY_DEFAULT);
  } catch (error) {
    if (named !== undefined) throw cannotConnect(named, error);
  }
  const { host, port, stop } = await startPrivateRedis(sayThatItBuilds);
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

function sayThatItBuilds(): void {
  console.log(
    "No redis-server on this machine: using one built from source. The first time, that takes a few minutes …",
  );
}
