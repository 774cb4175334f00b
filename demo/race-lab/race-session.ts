/** The steps of a round: those of the slow request, `read` and `write`, and the log-out. */
export const RACE_STEPS = ["read", "logout", "write"] as const;
export type RaceStep = (typeof RACE_STEPS)[number];

/** What a step did, in words. */
export interface StepRecord {
  step: RaceStep;
  /** `key` stands for the key of the session; `held`: what Redis held under it right after the call. */
  calls: { call: string; reply: string; held: string }[];
  /** Whether the step found a session. A plain write does not check, so it is always true. */
  found: boolean;
}

/** A session that the race is run on. */
export interface RaceSession extends Record<RaceStep, () => Promise<StepRecord>> {
  /** The fields of the hash in Redis; empty if there is no key. */
  fields(): Promise<Hash>;
  /** Deletes the key, whatever it holds. */
  remove(): Promise<unknown>;
}

export type Hash = Record<string, string>;

/**
 * The reply to a call, and in words what the key held right after it. The HGETALL is sent after the reply, because on a
 * cluster node-redis may send two commands in another order. It changes nothing, so the race ends as without it.
 */
export async function observe<Reply>(session: RaceSession, call: Promise<Reply>): Promise<[Reply, string]> {
  const reply = await call;
  return [reply, heldInWords(await session.fields())];
}

export function heldInWords(fields: Hash): string {
  const count = Object.keys(fields).length;
  return count === 0 ? "no key" : `${count} fields, page_views ${fields["page_views"]}`;
}
