/** The steps of a round: those of the slow request, `read` and `write`, and the log-out. */
export const RACE_STEPS = ["read", "logout", "write"] as const;
export type RaceStep = (typeof RACE_STEPS)[number];

/** What a step did, in words. */
export interface StepRecord {
  step: RaceStep;
  /** `key` stands for the key of the session. */
  calls: { call: string; reply: string }[];
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
