/**
 * The race lab: a slow request against a log-out, on the real Redis.
 *
 * The request reads the session, works for a moment, and writes to the session; meanwhile the same user logs out. Three
 * ways to do it run side by side, on the same schedule: the plain commands of `plain-session.ts`, the whole session as one
 * value, as in `whole-session.ts`, and the store.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { RedisUnavailableError } from "../../session-store.ts";
import type { RedisCommands } from "../../redis-connection/index.ts";
import { plainSession } from "./plain-session.ts";
import { type Hash, heldInWords, type RaceSession, type RaceStep, type StepRecord } from "./race-session.ts";
import { type RaceStore, storeSession } from "./store-session.ts";
import { wholeSession } from "./whole-session.ts";

/** Milliseconds between the request's read and its write. The log-out comes at a random moment in between. */
export const WORK_MS = 20;
export const DEFAULT_ROUNDS = 100;
export const MAX_ROUNDS = 300;
const ROUNDS_AT_ONCE = 10;
const KEY_TTL = 60; // seconds: enough for somebody who runs the steps one by one

/** The ways to keep a session: with plain commands, as one value, with the store. */
export const RACE_WAYS = ["plain", "whole", "store"] as const;
export type RaceWay = (typeof RACE_WAYS)[number];
export type ByWay<Value> = Record<RaceWay, Value>;

export interface RaceResult extends ByWay<{ revived: number }> {
  rounds: number;
  work_ms: number;
  /** The first of the rounds in which most sessions came back; null if none did. */
  history: ByWay<RoundHistory> | null;
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

/** A new session for each way: one ID that names them, and what Redis holds, in words. */
export interface StartedRace extends ByWay<{ held: string }> {
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

  /**
   * Runs this many rounds and counts the sessions that came back. `null` if another run is under way: one at a time is
   * enough load on Redis.
   */
  async run(rounds: number): Promise<RaceResult | null> {
    if (this.#isRunning) return null;
    this.#isRunning = true;
    try {
      const result: RaceResult = {
        rounds,
        work_ms: WORK_MS,
        plain: { revived: 0 },
        whole: { revived: 0 },
        store: { revived: 0 },
        history: null,
      };
      let mostRevived = 0;
      for (let done = 0; done < rounds; done += ROUNDS_AT_ONCE) {
        const batch = Array.from({ length: Math.min(ROUNDS_AT_ONCE, rounds - done) }, () => this.#runRound());
        for (const history of await waitForAll(batch)) {
          const revived = RACE_WAYS.filter((way) => Object.keys(history[way].fields).length > 0);
          for (const way of revived) result[way].revived += 1;
          if (revived.length <= mostRevived) continue;
          mostRevived = revived.length;
          result.history = history;
        }
      }
      return result;
    } finally {
      this.#isRunning = false;
    }
  }

  /** Creates the sessions for somebody who runs the steps one by one. */
  async start(): Promise<StartedRace> {
    const { id, sessions } = await this.#createSessions();
    return { id, ...(await byWay(async (way) => ({ held: heldInWords(await sessions[way].fields()) }))) };
  }

  /** Runs one step in each way. `id` should be from `start`: with the ID of another session, the step changes that. */
  async runStep(step: RaceStep, id: string): Promise<ByWay<StepResult>> {
    const sessions = this.#sessions(id);
    return byWay(async (way) => {
      const record = await sessions[way][step]();
      return { ...record, fields: await sessions[way].fields() };
    });
  }

  async #runRound(): Promise<ByWay<RoundHistory>> {
    const { sessions } = await this.#createSessions();
    const workDone = sleep(WORK_MS);
    const logoutDue = sleep(Math.random() * WORK_MS);
    return byWay((way) => race(sessions[way], workDone, logoutDue));
  }

  async #createSessions() {
    const id = await this.#store.createSession({ username: "race lab", page_views: 1 }, { ttl: this.#ttl });
    const sessions = this.#sessions(id);
    await waitForAll([sessions.plain.create(), sessions.whole.create()]);
    return { id, sessions };
  }

  /** The keys of the other sessions are derived from the store's ID, so that one ID names them all. */
  #sessions(id: string) {
    return {
      plain: plainSession(this.#redis, this.#store.keyOf(`race-${id}`), this.#ttl),
      whole: wholeSession(this.#redis, this.#store.keyOf(`race-whole-${id}`), this.#ttl),
      store: storeSession(this.#redis, this.#store, id),
    };
  }
}

async function byWay<Value>(run: (way: RaceWay) => Promise<Value>): Promise<ByWay<Value>> {
  const [plain, whole, store] = await waitForAll(RACE_WAYS.map(run));
  return { plain: plain!, whole: whole!, store: store! };
}

/** Runs the request, which writes after `workDone`, and at the same time the log-out, which comes after `logoutDue`. */
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

/**
 * Like `Promise.all`, but rejects only when nothing is under way any more: no round outlives its run. An error of a plain
 * command becomes a `RedisUnavailableError`, as those of the store are.
 */
async function waitForAll<Value>(promises: Promise<Value>[]): Promise<Value[]> {
  await Promise.allSettled(promises);
  try {
    return await Promise.all(promises);
  } catch (error) {
    if (!(error instanceof Error) || error instanceof RedisUnavailableError) throw error;
    throw new RedisUnavailableError(error.message, { cause: error });
  }
}
