import yargs from "yargs";

/** Says in one line, to the person who typed the command, why the server does not start. */
export class StartError extends Error {}

/** The Redis that somebody named, by host and port or by URL; a cluster, or the Sentinel of one, where they said so. */
export interface NamedRedis {
  redisHost?: string | undefined;
  redisPort?: number | undefined;
  redisUrl?: string | undefined;
  redisCluster?: boolean;
  redisSentinel?: string | undefined;
}

/**
 * Reads the command line, then the environment, then the defaults; a Redis named on the command line sets aside the one
 * in the environment. A mistake prints the usage and exits with 1.
 */
export function parseOptions(args: string[], environment: NodeJS.ProcessEnv) {
  const options = yargs(args)
    .scriptName("npx tsx server.ts")
    .usage("$0 [options]\n\nSessions in Redis, live in your browser.")
    .options({
      port: {
        describe: "Port to listen on, 0 for a free one [PORT]",
        type: "number",
        default: Number(environment["PORT"] || 8080),
      },
      host: {
        describe: "Address to listen on [HOST]",
        type: "string",
        default: environment["HOST"] || "127.0.0.1",
      },
      "redis-host": {
        describe: "Host of Redis [REDIS_HOST]",
        type: "string",
        defaultDescription: "localhost",
      },
      "redis-port": {
        describe: "Port of Redis [REDIS_PORT]",
        type: "number",
        defaultDescription: "6379",
      },
      "redis-url": {
        describe: "redis[s]://user:password@host:port/db, instead of the two above [REDIS_URL]",
        type: "string",
        defaultDescription: "none",
      },
      "redis-cluster": {
        describe: "Host and port, or the URL, are any node of a Redis Cluster [REDIS_CLUSTER]",
        type: "boolean",
        default: isOn(environment["REDIS_CLUSTER"]),
      },
      "redis-sentinel": {
        describe: "Host and port, or the URL, are any Sentinel of the master with this name [REDIS_SENTINEL]",
        type: "string",
        default: environment["REDIS_SENTINEL"] || undefined,
        defaultDescription: "none",
      },
      "absolute-ttl": {
        describe: "Seconds after its start when a session ends, however active; the largest TTL [ABSOLUTE_TTL]",
        type: "number",
        default: Number(environment["ABSOLUTE_TTL"] || 2_592_000),
      },
      "secure-cookie": {
        describe: "Name the cookie __Host-sid and send it over HTTPS only [SECURE_COOKIE]",
        type: "boolean",
        default: isOn(environment["SECURE_COOKIE"]),
      },
      "hash-ids": {
        describe: "Keep only SHA-256 digests of session IDs in Redis [HASH_IDS]",
        type: "boolean",
        default: isOn(environment["HASH_IDS"]),
      },
    })
    .check((flags) => {
      assertWhole("port", flags.port, 0, 65_535);
      assertWhole("absolute-ttl", flags["absolute-ttl"], 1, 3_153_600_000);
      assertRedis({
        redisHost: flags["redis-host"],
        redisPort: flags["redis-port"],
        redisUrl: flags["redis-url"],
        redisCluster: flags["redis-cluster"],
        redisSentinel: flags["redis-sentinel"],
      });
      return true;
    })
    .epilogue("Without a Redis named and without one at localhost:6379, the demo starts a private one.")
    .requiresArg(["port", "host", "redis-host", "redis-port", "redis-url", "redis-sentinel", "absolute-ttl"])
    .strict()
    .version(false)
    .locale("en")
    .parseSync();
  const isRedisNamed = options.redisHost ?? options.redisPort ?? options.redisUrl;
  return isRedisNamed === undefined ? { ...options, ...redisIn(environment, options) } : options;
}

const isOn = (text: string | undefined) => ["1", "true", "yes", "on"].includes(text?.toLowerCase() ?? "");

function assertWhole(name: string, value: number, smallest: number, largest: number): void {
  if (Number.isInteger(value) && value >= smallest && value <= largest) return;
  throw new Error(`--${name} must be a whole number from ${smallest} to ${largest}.`);
}

function redisIn(environment: NodeJS.ProcessEnv, kind: NamedRedis): NamedRedis {
  const named = {
    redisHost: environment["REDIS_HOST"] || undefined,
    redisPort: environment["REDIS_PORT"] ? Number(environment["REDIS_PORT"]) : undefined,
    redisUrl: environment["REDIS_URL"] || undefined,
  };
  try {
    assertRedis({ ...kind, ...named });
  } catch (error) {
    throw new StartError(`In the environment: ${error instanceof Error ? error.message : String(error)}`);
  }
  return named;
}

function assertRedis({ redisHost, redisPort, redisUrl, redisCluster, redisSentinel }: NamedRedis): void {
  if (redisPort !== undefined) assertWhole("redis-port", redisPort, 1, 65_535);
  if (redisHost === "") throw new Error("--redis-host must not be empty.");
  if (redisSentinel === "") throw new Error("--redis-sentinel must not be empty.");
  if (redisCluster && redisSentinel !== undefined) {
    throw new Error("--redis-cluster and --redis-sentinel exclude each other: a cluster needs no Sentinel.");
  }
  if (redisUrl === undefined) return;
  if (redisHost !== undefined || redisPort !== undefined) {
    throw new Error("--redis-url takes the place of --redis-host and --redis-port: name either it or them.");
  }
  const database = databaseIn(redisUrl);
  if (database === undefined) throw new Error("--redis-url must look like redis://user:password@host:port/db.");
  if (redisCluster && database !== 0) throw new Error("--redis-url must not name a database: a cluster has but one.");
}

/** The number of the database that a URL of Redis names, 0 where it names none; undefined where it is no such URL. */
function databaseIn(text: string): number | undefined {
  try {
    const { protocol, username, password, hostname, port, pathname } = new URL(text);
    decodeURIComponent(username + password);
    const isRedis = /^rediss?:$/.test(protocol) && hostname !== "" && port !== "0" && /^(\/\d*)?$/.test(pathname);
    return isRedis ? Number(pathname.slice(1)) : undefined;
  } catch {
    return undefined;
  }
}
