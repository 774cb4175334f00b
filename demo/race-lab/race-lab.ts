/**
 * The race lab: a slow request against a log-out, on the real Redis.
 *
 * The request reads the session, works for a moment, and writes to the session; meanwhile the same user logs out. Two
 * ways to do it run side by side, on the same schedule: the plain commands of `plain-session.ts` and the store.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { isSessionId, RedisUnavailableError } from "../../session-store.ts";
import type { RedisCommands } from "../../redis-connection/index.ts";
import { PlainSession } from "./plain-session.ts";
import { type RaceStore, StoreSession } from "./store-session.ts";
import { type Hash, heldInWords, type RaceSession, type RaceStep, type StepRecord } from "./race-session.ts";

/** Milliseconds between the request's read and its write. The log-out comes at a random moment in between. */
export const WORK_MS = 20;
export const DEFAULT_ROUNDS = 100;
export const MAX_ROUNDS = 300;
const ROUNDS_AT_ONCE = 10;
const KEY_TTL = 60; // seconds: enough for somebody who runs the steps one by one

/** A value for each of the two ways. */
export interface PlainAndStore<Value> {
  plain: Value;
  store: Value;
}

export interface RaceResult extends PlainAndStore<{ revived: number }> {
  rounds: number;
  work_ms: number;
  /** The first round in which a session came back; null if none did. */
  history: PlainAndStore<RoundHistory> | null;
}

export interface RoundHistory {
  /** In the order in which Redis ran them. */
  steps: StepRecord[];
  /** What Redis held after the last step; empty if there was no key. */
  fields: Hash;
}

/** A step that was run by itself, and what Redis held after it. */
export interface StepResult extends StepRecord {
  fields: Hash;
}

/** Two new sessions: one ID that names both, and what Redis holds, in words. */
export interface StartedRace extends PlainAndStore<{ held: string }> {
  id: string;
}

export interface RaceLabOptions {
  store: RaceStore;
  redis: RedisCommands;
  /** Seconds: the limit of the store, which the lab's sessions keep too. */
  absoluteTtl: number;
}

export class RaceLab {
  readonly #store: RaceStore;
  readonly #redis: RedisCommands;
  readonly #ttl: number;
  #isRunning = false;

  constructor({ store, redis, absoluteTtl }: RaceLabOptions) {
    this.#store = store;
    this.#redis = redis;
    this.#ttl = Math.min(KEY_TTL, absoluteTtl);
  }

  /** Whether `run` is under way. Check this first: `run` throws if it is, because one at a time is enough load on Redis. */
  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Runs this many rounds and counts the sessions that came back. */
  async run(rounds: number): Promise<RaceResult> {
    if (this.#isRunning) throw new Error("the race lab is running already");
    this.#isRunning = true;
    const result: RaceResult = {
      rounds,
      work_ms: WORK_MS,
      plain: { revived: 0 },
      store: { revived: 0 },
      history: null,
    };
    try {
      for (let done = 0; done < rounds; done += ROUNDS_AT_ONCE) {
        const batch = Array.from({ length: Math.min(ROUNDS_AT_ONCE, rounds - done) }, () => this.#runRound());
        for (const history of await waitForAll(batch)) {
          const isPlainRevived = isRevived(history.plain);
          const isStoreRevived = isRevived(history.store);
          if (isPlainRevived) result.plain.revived += 1;
          if (isStoreRevived) result.store.revived += 1;
          if (isPlainRevived || isStoreRevived) result.history ??= history;
        }
      }
      return result;
    } catch (error) {
      throw asUnavailable(error);
    } finally {
      this.#isRunning = false;
    }
  }

  /** Creates the two sessions for somebody who runs the steps one by one. */
  async start(): Promise<StartedRace> {
    try {
      const { id, plain, store } = await this.#createSessions();
      const [plainFields, storeFields] = [await plain.fields(), await store.fields()];
      return { id, plain: { held: heldInWords(plainFields) }, store: { held: heldInWords(storeFields) } };
    } catch (error) {
      throw asUnavailable(error);
    }
  }

  /** Runs one step in both ways. `id` should be from `start`; with the ID of another session, the step changes that. */
  async runStep(step: RaceStep, id: string): Promise<PlainAndStore<StepResult>> {
    if (!isSessionId(id)) throw new RangeError("id must be one that start returned");
    const { plain, store } = this.#sessions(id);
    try {
      return { plain: await runStep(plain, step), store: await runStep(store, step) };
    } catch (error) {
      throw asUnavailable(error);
    }
  }

  async #runRound(): Promise<PlainAndStore<RoundHistory>> {
    const { plain, store } = await this.#createSessions();
    const workDone = sleep(WORK_MS);
    const logoutDue = sleep(Math.random() * WORK_MS);
    const [plainRound, storeRound] = await waitForAll([
      race(plain, workDone, logoutDue),
      race(store, workDone, logoutDue),
    ]);
    return { plain: plainRound!, store: storeRound! };
  }

  async #createSessions() {
    const data = { username: "race lab", page_views: 1 };
    const id = await this.#store.createSession(data, { ttl: this.#ttl });
    const { plain, store } = this.#sessions(id);
    await plain.create(data);
    return { id, plain, store };
  }

  /** The plain session's key is derived from the store's ID, so that one ID names both. */
  #sessions(id: string): { plain: PlainSession; store: StoreSession } {
    return {
      plain: new PlainSession(this.#redis, this.#store.keyOf(`race-${id}`), this.#ttl),
      store: new StoreSession(this.#redis, this.#store, id),
    };
  }
}

const isRevived = ({ fields }: RoundHistory) => Object.keys(fields).length > 0;

async function runStep(session: RaceSession, step: RaceStep): Promise<StepResult> {
  const record = await session[step]();
  return { ...record, fields: await session.fields() };
}

/** Runs the request and the log-out at the same time. The two promises tell when to write and when to log out. */
async function race(session: RaceSession, workDone: Promise<void>, logoutDue: Promise<void>): Promise<RoundHistory> {
  const steps: Promise<StepRecord>[] = []; // in the order in which they are sent
  function run(step: RaceStep): Promise<StepRecord> {
    const record = session[step]();
    steps.push(record);
    return record;
  }
  async function request(): Promise<void> {
    const { found } = await run("read");
    await workDone;
    if (found) await run("write");
  }
  async function logOut(): Promise<void> {
    await logoutDue;
    await run("logout");
  }
  await waitForAll([request(), logOut()]);
  const fields = await session.fields();
  await session.remove();
  return { steps: await Promise.all(steps), fields };
}

/** Like `Promise.all`, but rejects only when nothing is under way any more: no round outlives its run. */
async function waitForAll<Value>(promises: Promise<Value>[]): Promise<Value[]> {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}

function asUnavailable(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof RedisUnavailableError) return error;
  return new RedisUnavailableError(error.message, { cause: error });
}
