import { ErrorReply } from "redis";

/** Redis cannot be used. `cause` is the error of node-redis, of Node, or of Redis. */
export class RedisConnectionError extends Error {
  override readonly name = "RedisConnectionError";
  /** That of the store's `RedisUnavailableError`, so that one check finds both. */
  readonly code = "REDIS_UNAVAILABLE";
  /** Host and port, without user and password. */
  readonly address: string;
  readonly reason: string;

  constructor(address: string, cause: unknown) {
    const reason = describeError(cause);
    super(`Redis at ${address} is unavailable: ${reason}`, { cause });
    this.address = address;
    this.reason = reason;
  }
}

/** What went wrong, in a few words and one line. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error ? String(error.code) : undefined;
  if (code?.startsWith("ERR_SSL_")) return code; // its message is several lines of OpenSSL's own
  return error.message || code || error.name; // a refused connection to "localhost" is an AggregateError without a message
}

/** `NOAUTH`, `WRONGPASS`, `ERR` …: the first word of an error reply. Undefined for any other error. */
export function replyCode(error: unknown): string | undefined {
  return error instanceof ErrorReply ? error.message.split(" ", 1)[0] : undefined;
}

/**
 * Whether the server was reached and refuses: with an error reply, or because TLS fails, as with a certificate that has
 * expired. Codes of the system begin with "E", such as `ECONNREFUSED`; those of TLS do not, or begin with `ERR_`.
 */
export function isRefusal(error: unknown): boolean {
  if (replyCode(error) !== undefined) return true;
  return error instanceof Error && "code" in error && !/^E(?!RR_)/.test(String(error.code));
}

/**
 * An error reply that repeats a secret is replaced by one that does not. A server that does not know a command repeats its
 * arguments, and those of HELLO contain the password. Where in a script the error was is left out, too.
 */
export function withoutSecrets(error: unknown, secrets: string[]): unknown {
  if (!(error instanceof ErrorReply)) return error;
  const text = error.message.replace(/,? with args beginning with.*| script: [\da-f]{40}, on @user_script.*/s, "");
  const isSafe = !secrets.some((secret) => secret !== "" && text.includes(secret));
  if (isSafe && text === error.message) return error;
  return new ErrorReply(isSafe ? text : replyCode(error));
}
