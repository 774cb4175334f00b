import { createClient, type RedisClientOptions, type RedisClientType } from "redis";
import type { RedisAccess, RedisServer } from "./target.ts";
import { REDIS_TIME_LIMITS, withTimeLimit } from "./time-limits.ts";

/**
 * Resolves when the client is ready for commands. If that takes too long, or `signal` is aborted, rejects and leaves no
 * socket open.
 */
export async function connectClient(
  server: RedisServer,
  access: RedisAccess,
  signal: AbortSignal,
  onError: (error: unknown) => void = () => {},
): Promise<RedisClientType> {
  return withConnectLimit(signal, async (attempt) => {
    const { socket, ...options } = clientOptions(access, attempt);
    const client: RedisClientType = createClient({ ...options, socket: { ...socket, ...server } });
    client.on("error", onError);
    attempt.addEventListener("abort", () => client.destroy());
    await client.connect();
    return client;
  });
}

/** Gives `connect` a signal that is aborted if it fails, takes too long, or `signal` is aborted. */
export async function withConnectLimit<Result>(
  signal: AbortSignal,
  connect: (attempt: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const attempt = new AbortController();
  const abort = () => attempt.abort();
  signal.throwIfAborted();
  signal.addEventListener("abort", abort);
  try {
    const { connectMs } = REDIS_TIME_LIMITS;
    return await withTimeLimit(connectMs, `no connection within ${connectMs} ms`, connect(attempt.signal));
  } catch (error) {
    attempt.abort();
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

interface ClientOptions extends RedisClientOptions {
  commandOptions: NonNullable<RedisClientOptions["commandOptions"]>;
  socket: NonNullable<RedisClientOptions["socket"]> & { signal?: AbortSignal };
}

/**
 * Without a connection, a command fails at once instead of waiting for one, and the client does not reconnect by itself.
 * Aborting `signal` closes a socket that is still connecting, which node-redis' destroy() does not. The signal replaces
 * node-redis' `connectTimeout`, which does not cover the authentication.
 */
export function clientOptions({ username, password, database, tls }: RedisAccess, signal: AbortSignal): ClientOptions {
  return {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    database,
    disableOfflineQueue: true,
    commandOptions: { timeout: 0 }, // off: it covers only the time until a command is written, and costs a timer each
    socket: {
      signal,
      connectTimeout: 0,
      reconnectStrategy: false,
      ...(tls !== false && { ...(tls === true ? {} : tls), tls: true }),
    },
  };
}

/**
 * `closing` is the promise of node-redis' own close(). That waits for replies without a limit, and rejects if the
 * connection is lost. Such a client must be destroyed, because node-redis keeps it in a list until then.
 */
export async function closeClients(clients: RedisClientType[], closing: Promise<unknown>): Promise<void> {
  await withTimeLimit(REDIS_TIME_LIMITS.closeMs, "no reply", closing).catch(() => {});
  for (const client of clients) client.destroy();
}
