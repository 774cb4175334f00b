import { isIP } from "node:net";
import type { ConnectionOptions } from "node:tls";

/** Where Redis is. Fields that are given take precedence over the same ones in `url`. */
export interface RedisTarget {
  /** `redis://user:password@host:port/database`, or `rediss://` for TLS. */
  url?: string | undefined;
  /** The server, any node of the cluster, or any Sentinel. Default: `localhost`. */
  host?: string | undefined;
  /** Default: 6379; of a Sentinel: 26379. */
  port?: number | undefined;
  /** The same for all servers. */
  username?: string | undefined;
  password?: string | undefined;
  /** Default: 0. A cluster has no other. */
  database?: number | undefined;
  /** `true` for TLS, or the options of Node's `tls.connect`, such as `ca`. Default: `false`. */
  tls?: boolean | ConnectionOptions | undefined;
  /** `true` for a Redis Cluster. */
  cluster?: boolean | undefined;
  /** The name of the master that the Sentinels monitor. */
  sentinel?: string | undefined;
  /** More nodes of the cluster, or more Sentinels. They are asked at the start if the first one is not there. */
  nodes?: RedisServer[] | undefined;
}

export interface RedisServer {
  host: string;
  port: number;
}

/** How to log in, and the database: the same for all nodes of a cluster, and for a master and its replicas. */
export interface RedisAccess {
  username: string | undefined;
  password: string | undefined;
  database: number;
  tls: boolean | ConnectionOptions;
}

/** A target whose values are complete and checked. */
export interface ResolvedTarget {
  kind: "single" | "cluster" | "sentinel";
  /** Empty unless `kind` is `sentinel`. */
  masterName: string;
  /** The server, or the nodes or Sentinels that are known at the start. There is at least one. */
  servers: RedisServer[];
  access: RedisAccess;
  /** For people: host and port of the first server, without user and password. */
  address: string;
}

/** Throws a `TypeError` for a wrong value. It never contains the value, which may be a password in the wrong place. */
export function resolveTarget(target: string | RedisTarget): ResolvedTarget {
  const { url, ...fields } = typeof target === "string" ? { url: target } : target;
  const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as RedisTarget;
  const named: RedisTarget = { ...(url !== undefined && parseRedisUrl(url)), ...given };
  const { host = "localhost", cluster = false, sentinel, nodes = [] } = named;
  const { port = sentinel === undefined ? 6379 : 26_379, database = 0, tls = false, username, password } = named;
  if (cluster && sentinel !== undefined) throw new TypeError("cluster and sentinel exclude each other");
  if (cluster && database !== 0) throw new TypeError("database must be 0 for a cluster, which has no other");
  const servers = [{ host, port }, ...nodes];
  for (const server of servers) assertServer(server);
  const kind = cluster ? "cluster" : sentinel === undefined ? "single" : "sentinel";
  const suffix = { single: "", cluster: " (cluster)", sentinel: ` (Sentinel of ${sentinel})` }[kind];
  const access = { username, password, database, tls };
  return { kind, masterName: sentinel ?? "", servers, access, address: formatServer({ host, port }) + suffix };
}

/** `localhost:6379`, or `[::1]:6379` for an IPv6 address. */
export function formatServer({ host, port }: RedisServer): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** The parts of a URL of Redis. Throws a `TypeError` that does not contain it. */
export function parseRedisUrl(text: string): RedisTarget & { host: string } {
  const rule = "url must be like redis://user:password@host:port/database, or rediss:// for TLS";
  if (!URL.canParse(text)) throw new TypeError(rule);
  const { protocol, username, password, hostname, port, pathname, search, hash } = new URL(text);
  const isRedis = /^rediss?:$/.test(protocol) && /^(\/\d*)?$/.test(pathname) && search + hash === "";
  if (!isRedis || hostname === "") throw new TypeError(rule);
  try {
    return {
      host: hostname.replace(/^\[(.*)\]$/, "$1"),
      port: port === "" ? undefined : Number(port),
      username: decodeURIComponent(username) || undefined,
      password: decodeURIComponent(password) || undefined,
      database: Number(pathname.slice(1)),
      tls: protocol === "rediss:",
    };
  } catch {
    throw new TypeError(rule); // a "%" that encodes nothing
  }
}

function assertServer({ host, port }: RedisServer): void {
  // A URL, or user and password, given as the host would be in errors and in the log.
  const isHost = typeof host === "string" && host !== "" && (isIP(host) > 0 || !/[\s@:/]/.test(host));
  if (!isHost) throw new TypeError("host must be a host name or an IP address, without a port");
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new TypeError("port must be a whole number from 1 to 65535");
  }
}
