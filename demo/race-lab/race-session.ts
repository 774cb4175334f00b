import type { RedisCommands } from "../../redis-connection/index.ts";
import { timestamp } from "../../session-store.ts";

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

/** A session that is kept without the store. */
export interface RaceSessionWithoutStore extends RaceSession {
  create(): Promise<unknown>;
}

export type Hash = Record<string, string>;

/** The fields of a new session that is kept without the store. `ttl` in seconds. */
export function newFields(ttl: number): Hash {
  const now = timestamp();
  return { username: "race lab", page_views: "1", session_ttl: String(ttl), created_at: now, last_accessed_at: now };
}

/** A read without the store, which returned these fields. `reply`: what Redis replies if there is no key. */
export function recordOfRead(call: string, fields: Hash, noKey: string): StepRecord {
  const count = Object.keys(fields).length;
  const reply = count > 0 ? `${count} fields: the session is there` : `${noKey}: no session`;
  return { step: "read", calls: [{ call, reply, held: heldInWords(fields) }], found: count > 0 };
}

/** A log-out without the store. */
export async function deleteKey(redis: RedisCommands, key: string): Promise<StepRecord> {
  const found = (await redis.del(key)) === 1;
  const reply = found ? "1: deleted" : "0: there was none";
  const held = heldInWords({}); // known without an HGETALL, which on a cluster could overtake the DEL
  return { step: "logout", calls: [{ call: "DEL key", reply, held }], found };
}

/**
 * The reply to a call, and in words what the key held right after it. The call and then the HGETALL are sent at once, and
 * Redis runs them in order, so the hash is what the call left. The HGETALL changes nothing, so the race ends as without it.
 */
export async function observe<Reply>(call: Promise<Reply>, hash: Promise<Hash>): Promise<[Reply, string]> {
  await Promise.allSettled([call, hash]); // nothing is under way any more when this rejects
  return [await call, heldInWords(await hash)];
}

export function heldInWords(fields: Hash): string {
  const count = Object.keys(fields).length;
  return count === 0 ? "no key" : `${count} fields, page_views ${fields["page_views"]}`;
}
