import { createClient, type RedisClientOptions } from "redis";
import type { RedisScripting } from "../../session-store.ts";

/** Redis as the demo uses it, be it one server or several. It does not connect by itself. */
export interface Connection {
  commands: Commands;
  /** What can be lost, or hang, by itself: a server's connection, of a cluster that of each master. */
  links: () => Link[];
  connect(): Promise<unknown>;
  close(): Promise<unknown>;
  destroy(): void;
}

/** What the demo asks of Redis. Each command is answered or refused within a second. */
export interface Commands extends RedisScripting {
  pTTL(key: string): Promise<number>;
  /** Answered when every master has answered. */
  ping(): Promise<unknown>;
}

export interface Link {
  readonly isOpen: boolean;
  readonly isReady: boolean;
  connect(): Promise<unknown>;
  destroy(): void;
  ping(): Promise<unknown>;
}

/** They hear of connections that are lost or do not come about, and of those that are there. */
export interface Listeners {
  failed: (error: unknown) => void;
  ready: () => void;
}

export interface Server {
  host: string;
  port: number;
}

export type ServerOptions = Omit<RedisClientOptions, "socket" | "commandOptions" | "url"> & {
  socket: typeof SOCKET & { tls?: true };
};

/** A connection that is lost is tried again at once; after that, the watch sees to it. In milliseconds. */
const SOCKET = {
  connectTimeout: 700,
  socketTimeout: 1000,
  reconnectStrategy: (retries: number): number | false => retries === 0 && 50,
};

/** Off: it ends when a command is written to the socket, so it is no help where Redis hangs, and costs a timer each. */
export const COMMAND_OPTIONS = { timeout: 0 };

/** For a client that never lets a command wait for a connection. */
export function optionsFrom({ protocol, username, password, pathname }: URL): ServerOptions {
  return {
    ...(username !== "" && { username: decodeURIComponent(username) }),
    ...(password !== "" && { password: decodeURIComponent(password) }),
    database: Number(pathname.slice(1)),
    disableOfflineQueue: true,
    socket: { ...SOCKET, ...(protocol === "rediss:" && { tls: true }) },
  };
}

export function clientOf(server: Server, { socket, ...options }: ServerOptions, { failed, ready }: Listeners) {
  const client = createClient({ ...options, commandOptions: COMMAND_OPTIONS, socket: { ...socket, ...server } });
  return client.on("error", failed).on("ready", ready);
}

export function oneServer(server: Server, options: ServerOptions, listeners: Listeners): Connection {
  const client = clientOf(server, options, listeners);
  return {
    commands: client,
    links: () => [client],
    connect: () => client.connect(),
    close: () => client.close(),
    destroy: () => client.destroy(),
  };
}
