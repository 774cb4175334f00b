import { ErrorReply, SocketClosedUnexpectedlyError } from "redis";
import { StartError } from "../start-error.ts";
import { codeOf, describeError, replyCode } from "./describe-error.ts";
import { addressOf, type RedisTarget } from "./target.ts";
import { TimeLimitError } from "./time-limits.ts";

/** OpenSSL's verdicts on a certificate whose issuer is not known here. */
const UNKNOWN_ISSUER = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "CERT_SIGNATURE_FAILURE",
]);
const OTHER_VERDICTS = new Set([
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "CERT_REVOKED",
  "CERT_REJECTED",
  "CERT_UNTRUSTED",
  "CERT_CHAIN_TOO_LONG",
  "INVALID_CA",
  "INVALID_PURPOSE",
  "PATH_LENGTH_EXCEEDED",
  "HOSTNAME_MISMATCH",
  "ERR_TLS_CERT_ALTNAME_INVALID",
]);

/** Why there is no connection to the Redis that somebody named, and what to do about it, in one line. */
export function cannotConnect(target: RedisTarget, error: unknown): StartError {
  const address = addressOf(target);
  const reason = describeError(error, target.password);
  const code = codeOf(error) ?? "";
  if (error instanceof ErrorReply) {
    const isLogin = ["NOAUTH", "WRONGPASS"].includes(replyCode(error) ?? "");
    const advice = isLogin ? " Put its user and password into --redis-url." : "";
    return new StartError(`Redis at ${address} refuses (${reason}).${advice}`);
  }
  if (UNKNOWN_ISSUER.has(code) || OTHER_VERDICTS.has(code)) {
    const advice = UNKNOWN_ISSUER.has(code) ? " Name its CA in NODE_EXTRA_CA_CERTS." : "";
    return new StartError(`Redis at ${address} is not trusted (${reason}).${advice}`);
  }
  const orNone = target.kind === "single" ? ", or name none to get a private one" : "";
  const advice = `Start one there, name another with --redis-host and --redis-port${orNone}.`;
  return new StartError(`No Redis at ${address} (${reason}). ${advice}${adviceOnTls(target, error)}`);
}

/** A server that expects TLS and hears none hangs up. One that expects none waits for more, or replies without TLS. */
function adviceOnTls({ isTls = false }: RedisTarget, error: unknown): string {
  const code = codeOf(error) ?? "";
  if (isTls) {
    const isLikely = error instanceof TimeLimitError || code.startsWith("ERR_SSL_");
    return isLikely ? " If what is there does without TLS, write redis:// in --redis-url." : "";
  }
  const isLikely = error instanceof SocketClosedUnexpectedlyError || code === "ECONNRESET";
  return isLikely ? " If what is there uses TLS, write rediss:// in --redis-url." : "";
}
