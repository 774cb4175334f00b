import { ErrorReply, SocketClosedUnexpectedlyError } from "redis";
import {
  connectRedis,
  type RedisConnection,
  RedisConnectionError,
  type RedisTarget,
  TimeLimitError,
} from "../../redis-connection/index.ts";
import { startPrivateRedis } from "./private-redis.ts";
import { StartError } from "./start-error.ts";

export interface OpenedRedis {
  redis: RedisConnection;
  /** For people: host and port, without a password. */
  address: string;
  /** Closes the connection, and stops a private Redis. */
  close: () => Promise<void>;
}

/**
 * Connects to the Redis that was named. If none was named, connects to localhost:6379, or else starts a private Redis.
 * Rejects with a `StartError` if a Redis was named and there is no connection to it.
 */
export async function openRedis(named: RedisTarget | undefined): Promise<OpenedRedis> {
  try {
    const redis = await connectRedis(named ?? {});
    return { redis, address: redis.address, close: () => redis.close() };
  } catch (error) {
    if (named !== undefined) throw error instanceof RedisConnectionError ? cannotConnect(named, error) : error;
  }
  const { host, port, stop } = await startPrivateRedis(logBuild);
  try {
    const redis = await connectRedis({ host, port });
    const address = `${redis.address} (private, in memory, gone when this server stops)`;
    return { redis, address, close: () => redis.close().then(stop) };
  } catch (error) {
    await stop();
    throw error;
  }
}

function logBuild(): void {
  console.log(
    "No redis-server on this machine: using one built from source. The first time, that takes a few minutes …",
  );
}

/** Node's codes for a certificate whose issuer it does not know, such as `DEPTH_ZERO_SELF_SIGNED_CERT`. */
const UNKNOWN_ISSUER = /SELF_SIGNED_CERT|ISSUER_CERT|LEAF_SIGNATURE|CERT_SIGNATURE_FAILURE/;
/** Node's other codes for a certificate that it refuses, such as `CERT_HAS_EXPIRED`. */
const REFUSED_CERTIFICATE = /^(CERT_|ERR_TLS_CERT_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED|HOSTNAME_MISMATCH)/;

/** Why there is no connection to the Redis that was named, and what to do about it, in one line. */
function cannotConnect(target: RedisTarget, { address, reason, cause }: RedisConnectionError): StartError {
  const code = codeOf(cause);
  if (cause instanceof ErrorReply) {
    const isLogin = /^(NOAUTH|WRONGPASS)/.test(reason);
    const advice = isLogin ? " Put its user and password into --redis-url." : "";
    return new StartError(`Redis at ${address} refuses (${reason}).${advice}`);
  }
  if (UNKNOWN_ISSUER.test(code) || REFUSED_CERTIFICATE.test(code)) {
    const advice = UNKNOWN_ISSUER.test(code) ? " Set NODE_EXTRA_CA_CERTS to the file of its CA." : "";
    return new StartError(`Redis at ${address} is not trusted (${reason}).${advice}`);
  }
  const canBePrivate = !target.cluster && target.sentinel === undefined;
  const orNone = canBePrivate ? ", or name none to get a private one" : "";
  const advice = `Start one there, name another with --redis-host and --redis-port${orNone}.`;
  return new StartError(`No Redis at ${address} (${reason}). ${advice}${adviceOnTls(target, cause)}`);
}

/**
 * A server that expects TLS closes a connection without it. A server without TLS waits for more bytes, or sends a reply that
 * is not TLS.
 */
function adviceOnTls({ tls = false }: RedisTarget, error: unknown): string {
  const code = codeOf(error);
  if (tls !== false) {
    const isLikely = error instanceof TimeLimitError || code.startsWith("ERR_SSL_");
    return isLikely ? " If the server there does not use TLS, write redis:// in --redis-url." : "";
  }
  const isLikely = error instanceof SocketClosedUnexpectedlyError || code === "ECONNRESET";
  return isLikely ? " If the server there uses TLS, write rediss:// in --redis-url." : "";
}

/** `ECONNREFUSED`, `CERT_HAS_EXPIRED` …: Node's code. Empty for an error without one. */
function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
