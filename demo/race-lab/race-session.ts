/** The steps of a round: those of the slow request, `read` and `write`, and the log-out. */
export const RACE_STEPS = ["read", "logout", "write"] as const;
export type RaceStep = (typeof RACE_STEPS)[number];

/** What a step did, in words. */
export interface StepRecord {
  step: RaceStep;
  /** `key` stands for the key of the session; `held`: what Redis held under it right after the call. */
  calls: { call: string; reply: string; held: string }[];
  /** Whether the step found a session. A write without the store does not check, so it is always true. */
  found: boolean;
}

/** A session that the race is run on. */
export interface RaceSession extends Record<RaceStep, () => Promise<StepRecord>> {
  /** The fields in Redis; empty if there is no key. */
  fields(): Promise<Hash>;
  /** Deletes the key, whatever it holds. */
  remove(): Promise<unknown>;
}

export type Hash = Record<string, string>;

/** A new session, as the ways without the store keep it. `ttl` in seconds. */
export function newFields(ttl: number): Hash {
  const now = new Date().toISOString();
  return { username: "race lab", page_views: "1", session_ttl: String(ttl), created_at: now, last_accessed_at: now };
}

/**
 * The reply to a call, and in words what the key held right after it. The call and then the HGETALL are sent at once, and
 * Redis runs them in order, so the hash is what the call left. (Except for a DEL on a cluster, which the HGETALL could
 * overtake.) The HGETALL changes nothing, so the race ends as without it.
 */
export async function observe<Reply>(call: Promise<Reply>, hash: Promise<Hash>): Promise<[Reply, string]> {
  await Promise.allSettled([call, hash]); // nothing is under way any more when this rejects
  return [await call, heldInWords(await hash)];
}

export function heldInWords(fields: Hash): string {
  const count = Object.keys(fields).length;
  return count === 0 ? "no key" : `${count} fields, page_views ${fields["page_views"]}`;
}
