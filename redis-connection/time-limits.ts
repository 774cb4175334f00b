/**
 * The time limits of the connection to Redis, in milliseconds.
 *
 * The store rejects after its own `timeoutMs` (1000), so a request gets its 503 within about a second whatever these are.
 * Without them, commands would pile up on a Redis that hangs. `checkEveryMs` and `checkReplyMs` together are less than the
 * store's limit: the connection is given up first, the commands on it fail with it, and later ones fail at once.
 */
export const REDIS_TIME_LIMITS = {
  /** For name resolution, TCP, TLS and authentication together. Commands fail at once meanwhile, so no request waits. */
  connectMs: 2000,
  /** From one check of each server to the next, and from the loss of a connection to the first attempt to replace it. */
  checkEveryMs: 100,
  /** The shortest time between two attempts. Redis may be back soon, but must not be flooded. */
  retryMs: 200,
  /** The same while the server is there, but is a replica. */
  retryReplicaMs: 1000,
  /** For the reply to a check: longer than a healthy Redis pauses for a fork, a slow script or a busy machine. */
  checkReplyMs: 700,
  /** How often the Sentinels are asked which server is the master. They need seconds to elect one. */
  sentinelEveryMs: 1000,
  /** For the replies to commands that were sent before a connection is closed. */
  closeMs: 700,
  /** How long Redis must be usable until the log says so. */
  stableMs: 500,
  /** How long the log does not repeat that Redis refuses a command, if other commands succeed meanwhile. */
  repeatRefusalMs: 10_000,
} as const;

/** The last part of each limit, in which replies that arrived while our event loop was blocked are read. */
const GRACE_MS = 100;

/** A promise did not settle in time. */
export class TimeLimitError extends Error {}

/** Rejects with a `TimeLimitError` if the promise does not settle in time. What it waits for is not stopped. */
export async function withTimeLimit<Result>(
  limitMs: number,
  message: string,
  promise: Promise<Result>,
): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const timeIsUp = new Promise<never>((_, reject) => {
    const giveUp = () => setImmediate(reject, new TimeLimitError(message)); // after Node has read what has arrived
    const startGrace = () => (timer = setTimeout(giveUp, GRACE_MS));
    timer = setTimeout(startGrace, limitMs - GRACE_MS);
  });
  try {
    return await Promise.race([promise, timeIsUp]);
  } finally {
    clearTimeout(timer);
  }
}
