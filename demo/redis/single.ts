import { createClient, type RedisClientOptions, type RedisClientType } from "redis";
import type { RedisScripting } from "../../session-store.ts";
import { TIME_LIMITS, withTimeLimit } from "./time-limits.ts";

export interface RedisServer {
  host: string;
  port: number;
}

/** How to log in, and to which database. The same for all servers of a cluster and for a master and its replicas. */
export interface RedisAccess {
  username?: string | undefined;
  password?: string | undefined;
  database?: number;
  isTls?: boolean;
}

/** A connection that does not mend itself: once something of it is lost, another one takes its place. */
export interface RedisConnection {
  commands: RedisCommands;
  /** The client of each server that must reply: of the one server, or of every master of a cluster. */
  clients(): RedisClientType[];
  /** Why it does not serve every session any more; undefined while it does. */
  problem(): unknown;
  /** A new connection, made with what this one knows of the servers. */
  reconnect(): Promise<RedisConnection>;
  /** Waits for the replies to what was sent, but not for long. */
  close(): Promise<void>;
}

/** The commands that the demo sends: the store's, and its own. */
export interface RedisCommands extends RedisScripting {
  hGetAll(key: string): Promise<Record<string, string>>;
  hSet(key: string, fields: Record<string, string>): Promise<number>;
  pExpire(key: string, ms: number): Promise<unknown>;
  del(key: string): Promise<number>;
}

/** One Redis server. */
export async function connectSingle(server: RedisServer, access: RedisAccess): Promise<RedisConnection> {
  let lastError: unknown = new Error("the connection is closed");
  const client = await connectClient(server, access, (error) => (lastError = error));
  return {
    commands: client,
    clients: () => [client],
    problem: () => (client.isReady ? undefined : lastError),
    reconnect: () => connectSingle(server, access),
    close: () => closeClients([client], client.close()),
  };
}

/** Resolves when the client is ready for commands; rejects, and leaves no socket open, if that takes too long. */
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
  return withTimeLimit(TIME_LIMITS.connectMs, `no connection within ${TIME_LIMITS.connectMs} ms`, connecting);
}

/**
 * For a client that lets no command wait for a connection and never reconnects by itself. `signal` closes its socket in
 * any state: node-redis' `connectTimeout` ends before the authentication, and destroy() misses a socket that connects.
 */
export function clientOptions({ username, password, database = 0, isTls = false }: RedisAccess, signal: AbortSignal) {
  return {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    database,
    disableOfflineQueue: true,
    commandOptions: { timeout: 0 }, // it ends when a command is written to the socket, and costs a timer for each
    socket: { signal, connectTimeout: 0, reconnectStrategy: false as const, ...(isTls && { tls: true as const }) },
  } satisfies RedisClientOptions;
}

/** `closing` waits for replies, without a limit; and a client that is closed already would keep its place in a registry. */
export async function closeClients(clients: RedisClientType[], closing: Promise<unknown>): Promise<void> {
  await withTimeLimit(TIME_LIMITS.closeMs, "no reply", closing).catch(() => {});
  for (const client of clients) client.destroy();
}
