import { ErrorReply } from "redis";
import { type RedisScripting, RedisUnavailableError } from "../../session-store.ts";
import { type NamedRedis, StartError } from "../options.ts";
import type { OutageLog } from "./outage-log.ts";
import { startPrivateRedis } from "./private.ts";
import { type Connection, type Listeners, oneServer, optionsFrom } from "./single.ts";
import { clusterWith } from "./cluster.ts";
import { masterOf } from "./sentinel.ts";
import { watch } from "./watchdog.ts";

/** A Redis that is connected, and how to leave it. */
export interface Redis {
  /** For the store. */
  client: RedisScripting;
  /** For people: where it is, without a password. */
  address: string;
  /** Milliseconds until a key expires; negative where there is none. */
  timeLeft: (key: string) => Promise<number>;
  /** Rejects unless every master answers. */
  ping: () => Promise<unknown>;
  close: () => Promise<void>;
}

/** Where Redis is, and what is there: one server, a node of a cluster, or a Sentinel. */
interface Place {
  url: URL;
  isCluster: boolean;
  /** What the Sentinel calls the master that is meant; undefined where it is no Sentinel. */
  masterName: string | undefined;
}

/**
 * The Redis that was named; else the one at localhost:6379; else a private one.
 * Rejects with a `StartError` where a Redis was named and is not there.
 */
export async function openRedis(named: NamedRedis, outages: OutageLog): Promise<Redis> {
  const place = placeOf(named);
  try {
    return await connect(place, outages);
  } catch (error) {
    if (isNamed(named)) throw notThere(place, error);
  }
  const privateRedis = await startPrivateRedis(sayThatItBuilds);
  const redis = await connect(placeOf({ redisHost: privateRedis.host, redisPort: privateRedis.port }), outages);
  return {
    ...redis,
    address: `${redis.address} (private, in memory, gone when this server stops)`,
    async close() {
      try {
        await redis.close();
      } finally {
        await privateRedis.stop();
      }
    },
  };
}

const isNamed = ({ redisHost, redisPort, redisUrl, redisCluster, redisSentinel }: NamedRedis) =>
  redisCluster === true || (redisHost ?? redisPort ?? redisUrl ?? redisSentinel) !== undefined;

function placeOf({
  redisHost = "localhost",
  redisPort,
  redisUrl,
  redisCluster = false,
  redisSentinel,
}: NamedRedis): Place {
  const host = redisHost.includes(":") ? `[${redisHost}]` : redisHost;
  const url = new URL(redisUrl ?? `redis://${host}`);
  url.port ||= String(redisPort ?? (redisSentinel === undefined ? 6379 : 26_379));
  return { url, isCluster: redisCluster, masterName: redisSentinel };
}

/** For people, and without the user and password that may be in the URL. */
function addressOf({ url, isCluster, masterName }: Place): string {
  const address = `${url.hostname}:${url.port}`;
  if (isCluster) return `${address} (cluster)`;
  return masterName === undefined ? address : `${address} (Sentinel of ${masterName})`;
}

async function connect(place: Place, outages: OutageLog): Promise<Redis> {
  let isConnected = false;
  const connection = connectionTo(place, {
    failed: (error) => isConnected && outages.failed(describe(error)),
    ready: () => isReady() && outages.recovered(),
  });
  const { commands, links } = connection;
  const isReady = () => links().every((link) => link.isReady);
  try {
    await connection.connect();
  } catch (error) {
    connection.destroy();
    throw error;
  }
  isConnected = true;
  const watching = watch(links, outages);
  return {
    client: commands,
    address: addressOf(place),
    timeLeft: (key) => commands.pTTL(key).catch(asUnavailable),
    ping: () => commands.ping().catch(asUnavailable),
    async close() {
      watching.stop();
      if (isReady()) await connection.close();
      else connection.destroy();
    },
  };
}

function connectionTo({ url, isCluster, masterName }: Place, listeners: Listeners): Connection {
  const server = { host: url.hostname.replaceAll(/[[\]]/g, ""), port: Number(url.port) };
  const options = optionsFrom(url);
  if (isCluster) return clusterWith(server, options, listeners);
  if (masterName !== undefined) return masterOf(masterName, server, options, listeners);
  return oneServer(server, options, listeners);
}

function asUnavailable(error: unknown): never {
  throw new RedisUnavailableError(describe(error), { cause: error });
}

function notThere(place: Place, error: unknown): StartError {
  const reason = describe(error);
  const address = addressOf(place);
  if (error instanceof ErrorReply) {
    const advice = /^(WRONGPASS|NOAUTH)/.test(reason) ? " Put its user and password into --redis-url." : "";
    return new StartError(`Redis at ${address} refuses (${reason}).${advice}`);
  }
  if (isOfCertificate(error)) {
    const advice = /SELF_SIGNED|UNABLE_TO|SIGNATURE/.test(codeOf(error)) ? " Name its CA in NODE_EXTRA_CA_CERTS." : "";
    return new StartError(`Redis at ${address} is not trusted (${reason}).${advice}`);
  }
  const another = "Start one there, name another with --redis-host and --redis-port";
  const orNone = place.isCluster || place.masterName !== undefined ? "" : ", or name none to get a private one";
  return new StartError(`No Redis at ${address} (${reason}). ${another}${orNone}.${adviceOnTls(place, reason)}`);
}

/** A server that expects TLS and hears none hangs up; one that expects none waits for more, or answers what is no TLS. */
function adviceOnTls({ url }: Place, reason: string): string {
  const [isLikely, is, scheme] =
    url.protocol === "rediss:" ? [/timeout|SSL/, "does without", "redis"] : [/RESET|closed/, "uses", "rediss"];
  return isLikely.test(reason) ? ` If what is there ${is} TLS, write ${scheme}:// in --redis-url.` : "";
}

const isOfCertificate = (error: unknown) => /CERT|SELF_SIGNED|UNABLE_TO_VERIFY/.test(codeOf(error));
const codeOf = (error: unknown) => (error instanceof Error && "code" in error ? String(error.code) : "");

/** A refused connection to "localhost" is an AggregateError, whose message is empty and whose code tells. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = codeOf(error);
  if (code.startsWith("ERR_SSL")) return code; // its message is several lines of OpenSSL's own
  return error.message || code || error.name;
}

function sayThatItBuilds(): void {
  console.log(
    "No redis-server on this machine: using one built from source. The first time, that takes a few minutes …",
  );
}
