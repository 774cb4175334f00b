export interface RedisServer {
  host: string;
  port: number;
}

/** How to log in, and the database. It is the same for all servers of a cluster, and for a master and its replicas. */
export interface RedisAccess {
  username?: string | undefined;
  password?: string | undefined;
  database?: number;
  isTls?: boolean;
}

/** The Redis to connect to. `host` and `port` are those of one server, of any node of a cluster, or of any Sentinel. */
export type RedisTarget = RedisServer &
  RedisAccess &
  ({ kind: "single" | "cluster" } | { kind: "sentinel"; masterName: string });

/** For people: without user and password. */
export function addressOf(target: RedisTarget): string {
  const address = `${target.host.includes(":") ? `[${target.host}]` : target.host}:${target.port}`;
  if (target.kind === "cluster") return `${address} (cluster)`;
  return target.kind === "sentinel" ? `${address} (Sentinel of ${target.masterName})` : address;
}
