import { ErrorReply } from "redis";

/** What went wrong, in a few words, for a line on standard error. Never shows the password. */
export function describeError(error: unknown, password?: string): string {
  const text = messageOf(error);
  // A server that does not know HELLO repeats its arguments in the reply, and one of them is the password.
  return password && text.includes(password) ? (replyCode(error) ?? "unknown error") : text;
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = codeOf(error);
  if (code?.startsWith("ERR_SSL_")) return code; // its message is several lines of OpenSSL's own
  return error.message || code || error.name; // a refused connection to "localhost" is an AggregateError without a message
}

/** `ECONNREFUSED`, `CERT_HAS_EXPIRED` …; undefined for an error without a code. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}

/** `NOAUTH`, `WRONGPASS`, `ERR` …, which Redis puts first in an error reply; undefined for any other error. */
export function replyCode(error: unknown): string | undefined {
  return error instanceof ErrorReply ? error.message.split(" ", 1)[0] : undefined;
}
