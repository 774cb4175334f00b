/** The steps of a round: those of the slow request, `read` and `write`, and the log-out. */
export const RACE_STEPS = ["read", "logout", "write"] as const;
export type RaceStep = (typeof RACE_STEPS)[number];

/** What a step did, for people. */
export interface StepRecord {
  step: RaceStep;
  /** `key` stands for the key of the session. */
  calls: { call: string; reply: string }[];
  /** Whether the step found a session. A plain write does not look, so it always says yes. */
  found: boolean;
}

/** A session whose steps are tested. */
export interface TestedSession extends Record<RaceStep, () => Promise<StepRecord>> {
  /** The fields of the hash in Redis; empty if there is no key. */
  fields(): Promise<Hash>;
  /** Deletes the key, whatever it holds. */
  remove(): Promise<unknown>;
}

export type Hash = Record<string, string>;
