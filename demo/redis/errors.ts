/** What the demo says about errors of Redis and of the connection to it. No text ever shows the password. */
import { ErrorReply, SocketClosedUnexpectedlyError } from "redis";
import { StartError } from "../process/start-error.ts";
import { addressOf, type RedisTarget } from "./target.ts";
import { TimeLimitError } from "./time-limits.ts";

/** What went wrong, in a few words. */
export function describeError(error: unknown, password?: string): string {
  const text = messageOf(error);
  // A server that does not know HELLO repeats its arguments in the error reply, and one of them is the password.
  return password && text.includes(password) ? (replyCode(error) ?? "unknown error") : text;
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = codeOf(error);
  if (code?.startsWith("ERR_SSL_")) return code; // its message is several lines of OpenSSL's own
  return error.message || code || error.name; // a refused connection to "localhost" is an AggregateError without a message
}

/** `NOAUTH`, `WRONGPASS`, `ERR` …: the first word of an error reply. Undefined for any other error. */
export function replyCode(error: unknown): string | undefined {
  return error instanceof ErrorReply ? error.message.split(" ", 1)[0] : undefined;
}

/** `ECONNREFUSED`, `CERT_HAS_EXPIRED` …: Node's code. Undefined for an error without one. */
function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}

/** Node's codes for a certificate whose issuer it does not know, such as `DEPTH_ZERO_SELF_SIGNED_CERT`. */
const UNKNOWN_ISSUER = /SELF_SIGNED_CERT|ISSUER_CERT|LEAF_SIGNATURE|CERT_SIGNATURE_FAILURE/;
/** Node's other codes for a certificate that it refuses, such as `CERT_HAS_EXPIRED`. */
const REFUSED_CERTIFICATE = /^(CERT_|ERR_TLS_CERT_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED|HOSTNAME_MISMATCH)/;

/** Why there is no connection to the Redis that was named, and what to do about it, in one line. */
export function cannotConnect(target: RedisTarget, error: unknown): StartError {
  const address = addressOf(target);
  const reason = describeError(error, target.password);
  const code = codeOf(error) ?? "";
  if (error instanceof ErrorReply) {
    const isLogin = ["NOAUTH", "WRONGPASS"].includes(replyCode(error) ?? "");
    const advice = isLogin ? " Put its user and password into --redis-url." : "";
    return new StartError(`Redis at ${address} refuses (${reason}).${advice}`);
  }
  if (UNKNOWN_ISSUER.test(code) || REFUSED_CERTIFICATE.test(code)) {
    const advice = UNKNOWN_ISSUER.test(code) ? " Set NODE_EXTRA_CA_CERTS to the file of its CA." : "";
    return new StartError(`Redis at ${address} is not trusted (${reason}).${advice}`);
  }
  const orNone = target.kind === "single" ? ", or name none to get a private one" : "";
  const advice = `Start one there, name another with --redis-host and --redis-port${orNone}.`;
  return new StartError(`No Redis at ${address} (${reason}). ${advice}${adviceOnTls(target, error)}`);
}

/**
 * A server that expects TLS closes a connection without it. A server without TLS waits for more bytes, or sends a reply that
 * is not TLS.
 */
function adviceOnTls({ isTls = false }: RedisTarget, error: unknown): string {
  const code = codeOf(error) ?? "";
  if (isTls) {
    const isLikely = error instanceof TimeLimitError || code.startsWith("ERR_SSL_");
    return isLikely ? " If the server there does not use TLS, write redis:// in --redis-url." : "";
  }
  const isLikely = error instanceof SocketClosedUnexpectedlyError || code === "ECONNRESET";
  return isLikely ? " If the server there uses TLS, write rediss:// in --redis-url." : "";
}
