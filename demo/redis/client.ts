import { createClient, type RedisClientOptions, type RedisClientType } from "redis";
import type { RedisAccess, RedisServer } from "./target.ts";
import { REDIS_TIME_LIMITS, withTimeLimit } from "./time-limits.ts";

/** Resolves when the client is ready for commands. If that takes too long, rejects and leaves no socket open. */
export async function connectClient(
  server: RedisServer,
  access: RedisAccess,
  onError: (error: unknown) => void = () => {},
): Promise<RedisClientType> {
  const attempt = new AbortController();
  const { socket, ...options } = clientOptions(access, attempt.signal);
  const client: RedisClientType = createClient({ ...options, socket: { ...socket, ...server } });
  client.on("error", onError);
  try {
    await withConnectLimit(client.connect());
    return client;
  } catch (error) {
    attempt.abort();
    client.destroy();
    throw error;
  }
}

export function withConnectLimit<Result>(connecting: Promise<Result>): Promise<Result> {
  return withTimeLimit(
    REDIS_TIME_LIMITS.connectMs,
    `no connection within ${REDIS_TIME_LIMITS.connectMs} ms`,
    connecting,
  );
}

/**
 * Without a connection, a command fails at once instead of waiting for one, and the client does not reconnect by itself.
 * Aborting `signal` closes a socket that is still connecting, which node-redis' destroy() does not. The signal replaces
 * node-redis' `connectTimeout`, which does not cover the authentication.
 */
export function clientOptions({ username, password, database = 0, isTls = false }: RedisAccess, signal: AbortSignal) {
  return {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    database,
    disableOfflineQueue: true,
    commandOptions: { timeout: 0 }, // off: it covers only the time until a command is written, and costs a timer each
    socket: { signal, connectTimeout: 0, reconnectStrategy: false as const, ...(isTls && { tls: true as const }) },
  } satisfies RedisClientOptions;
}

/**
 * `closing` is the promise of node-redis' own close(). That waits for replies without a limit, and rejects if the
 * connection is lost. Such a client must be destroyed, because node-redis keeps it in a list until then.
 */
export async function closeClients(clients: RedisClientType[], closing: Promise<unknown>): Promise<void> {
  await withTimeLimit(REDIS_TIME_LIMITS.closeMs, "no reply", closing).catch(() => {});
  for (const client of clients) client.destroy();
}
