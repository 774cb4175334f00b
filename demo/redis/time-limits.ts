/**
 * How long the demo waits for Redis, in milliseconds. The store gives up a command after its own `timeoutMs` (1000), so a
 * request gets its 503 within about a second whatever happens here. These limits replace a connection that no longer
 * serves. `pingEveryMs` and `pingReplyMs` together stay below the store's limit: what waits on a Redis that hangs fails
 * with the connection, and what comes after it fails at once, so nothing piles up.
 */
export const TIME_LIMITS = {
  /** For name resolution, TCP, TLS and authentication together. Meanwhile commands fail at once, so no request waits. */
  connectMs: 2000,
  /** From one PING to the next, and from the loss of a connection to the first attempt to replace it. */
  pingEveryMs: 100,
  /** From an attempt that failed to the next: Redis is back soon, and not flooded while it starts. */
  retryMs: 200,
  /** Longer than a healthy Redis pauses: for a fork, a slow script, a busy machine. */
  pingReplyMs: 700,
  /** From one question to the Sentinels which server is the master to the next. They need seconds to elect one. */
  sentinelEveryMs: 1000,
  /** For the replies to what was sent before a connection is closed. */
  closeMs: 700,
  /** For a private Redis to end by itself before it is killed. It has nothing to save. */
  privateStopMs: 700,
} as const;

/** The last part of a limit. It starts when our own event loop runs, so that it can read replies that have arrived. */
const GRACE_MS = 100;

/** A promise did not settle in time. */
export class TimeLimitError extends Error {}

/** Rejects with a `TimeLimitError` if the promise does not settle in time. Whatever it stands for goes on. */
export async function withTimeLimit<Result>(
  limitMs: number,
  message: string,
  promise: Promise<Result>,
): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const timeIsUp = new Promise<never>((_, reject) => {
    const giveUp = () => setImmediate(reject, new TimeLimitError(message)); // Node first reads what has arrived
    const startGrace = () => (timer = setTimeout(giveUp, GRACE_MS));
    timer = setTimeout(startGrace, limitMs - GRACE_MS);
  });
  try {
    return await Promise.race([promise, timeIsUp]);
  } finally {
    clearTimeout(timer);
  }
}
