/**
 * A connection to Redis for `session-store.ts`: to one server, a cluster, or the master that Sentinels name. To use it, copy
 * this folder. It needs the package `redis` and nothing else.
 *
 *     const redis = await connectRedis({ url: "redis://localhost:6379" });
 *     const store = new RedisSessionStore({ redis });
 *     …
 *     await redis.close();
 *
 * While there is no connection, commands fail at once. No command is sent later, or twice. The connection is replaced
 * when it is lost, when Redis does not reply to a check within 700 ms, and when the server has become a replica, as after
 * a failover behind one address. What is wrong is logged, without secrets: one line when it begins and one when it is over.
 *
 * `connection.ts` holds the watchdog. There is a file for each kind of Redis: `single.ts`, `cluster.ts`, `sentinel.ts`.
 */
import { RedisConnection } from "./connection.ts";
import { type RedisTarget, resolveTarget } from "./target.ts";

export { RedisConnectionError } from "./errors.ts";
export type { RedisCommands } from "./open-connection.ts";
export { formatServer, parseRedisUrl, type RedisServer, type RedisTarget } from "./target.ts";
export { TimeLimitError } from "./time-limits.ts";
export type { RedisConnection };

export interface RedisOptions {
  /**
   * If Redis is not there at the start: `"reject"` (default) rejects with a `RedisConnectionError`; `"wait"` resolves as
   * soon as it is there; `"continue"` resolves after the first attempt, and commands fail until Redis is there.
   */
  ifUnavailable?: "reject" | "wait" | "continue";
  /** Is called with each line of the log. What it throws is an uncaught exception. Default: `console.error`. */
  log?: (line: string) => void;
}

/** Connects to Redis. Throws a `TypeError` for a wrong target, which never contains its values. */
export async function connectRedis(
  target: string | RedisTarget,
  { ifUnavailable = "reject", log = (line) => console.error(line) }: RedisOptions = {},
): Promise<RedisConnection> {
  const connection = new RedisConnection(resolveTarget(target), log);
  await connection.start(ifUnavailable);
  return connection;
}
