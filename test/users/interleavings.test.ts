import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { RedisUnavailableError } from "../../session-store.ts";
import { SessionRevokedError, UserSessions } from "../../user-sessions.ts";
import { openRedis } from "../redis-connection.ts";
import { newPrefix, NO_HURRY } from "../store-under-test.ts";
import {
  ConnectionLostError,
  forEverySchedule,
  type HeldConnection,
  randomFrom,
  runInterleaved,
  type Schedule,
  type Work,
} from "./scheduler.ts";

const { redis } = await openRedis();
const USER = "andrew";
const HOUR = 3600; // seconds
const NO_TIME_LIMIT = 600_000; // a command is held back as long as the schedule wants
const LIST_LIMIT_MS = 1500; // A list waits that long for a rotation that has crashed.

// Every node caches the scripts, so that each step of an operation is one command: no EVAL follows a refused EVALSHA.
const store = new UserSessions({ redis, prefix: newPrefix(), ...NO_HURRY });
const users = Array.from({ length: 50 }, (_, i) => `user-${i}`);
await Promise.all(users.map((user) => store.createSession({}, { user })));

/** One run of a scenario: sessions by name, as in the model. */
class Run {
  readonly prefix = newPrefix();
  readonly #maxSessions: number | undefined;
  readonly direct: UserSessions;
  /** The IDs that were given out, by the name of their session. */
  readonly ids = new Map<string, string>();
  readonly #parents = new Map<string, string>();
  /** Names of sessions that must be dead, since an end of all has resolved. */
  readonly #sentenced = new Set<string>();

  constructor(maxSessions?: number) {
    this.#maxSessions = maxSessions;
    this.direct = new UserSessions({ redis, prefix: this.prefix, maxSessions, ...NO_HURRY });
  }

  async logInDirectly(name: string, absoluteTtl?: number): Promise<void> {
    this.ids.set(name, await this.direct.createSession({ name }, { user: USER, absoluteTtl }));
  }

  #storeOn(connection: HeldConnection, timeoutMs = NO_TIME_LIMIT) {
    return new UserSessions({ redis: connection, prefix: this.prefix, maxSessions: this.#maxSessions, timeoutMs });
  }

  logIn(name: string): Work {
    return async (connection) => {
      const id = await this.#storeOn(connection).createSession({ name }, { user: USER });
      this.ids.set(name, id);
    };
  }

  /** The first rotation is of a session that is there, each further one of the session before it. */
  rotate(from: string, ...to: string[]): Work {
    return async (connection) => {
      for (const [i, name] of to.entries()) {
        const parent = to[i - 1] ?? from;
        this.#parents.set(name, parent);
        const id = await this.#storeOn(connection).rotateSession(this.ids.get(parent));
        if (id === null) return;
        this.ids.set(name, id);
      }
    };
  }

  logOut(name: string): Work {
    return async (connection) => this.#storeOn(connection).deleteSession(this.ids.get(name));
  }

  endOne(name: string): Work {
    return async (connection) => {
      const handle = this.direct.handleOf(this.ids.get(name)!);
      await this.#storeOn(connection).endSession(USER, handle);
      assert.ok(!(await this.alive()).includes(name), `${name} survives its end`);
    };
  }

  endAll(except?: string): Work {
    return async (connection) => {
      const alive = await this.alive();
      const rotating = [...this.#parents.values()];
      await this.#storeOn(connection).endSessions(USER, { except: except && this.ids.get(except) });
      const targets = new Set([...alive, ...rotating]);
      for (const name of targets) if (!this.#lineOf(name).includes(except ?? "")) this.#sentenced.add(name);
    };
  }

  /** What was there from before it began until it was over is listed, under one ID or another. */
  list(): Work {
    return async (connection) => {
      const before = await this.alive();
      const listed = await this.#storeOn(connection, LIST_LIMIT_MS).listSessions(USER);
      const after = await this.alive();
      const handles = new Set(listed.map(({ handle }) => handle));
      if (this.#maxSessions !== undefined) return; // A log-in may have chosen to end what is missing.
      for (const name of before) {
        const line = [...this.ids.keys()].filter((each) => this.#lineOf(each).includes(name));
        const isListed = line.some((each) => handles.has(this.direct.handleOf(this.ids.get(each)!)));
        assert.ok(isListed || !line.some((each) => after.includes(each)), `${name} is not in the list`);
      }
    };
  }

  expire(name: string): Work {
    return async (connection) => connection.hold(() => redis.pExpireAt(this.direct.keyOf(this.ids.get(name)!), 1));
  }

  /** The session itself, what it was rotated from, and so on. */
  #lineOf(name: string): string[] {
    const parent = this.#parents.get(name);
    return parent === undefined ? [name] : [name, ...this.#lineOf(parent)];
  }

  async alive(): Promise<string[]> {
    const given = [...this.ids];
    const exist = await Promise.all(given.map(([, id]) => redis.exists(this.direct.keyOf(id))));
    return given.filter((_, i) => exist[i] === 1).map(([name]) => name);
  }

  async assertRight(): Promise<void> {
    const [alive, index] = await Promise.all([this.alive(), redis.zRange(this.#indexKey, 0, -1)]);
    for (const name of alive) {
      const survives = this.#lineOf(name).some((each) => this.#sentenced.has(each));
      assert.ok(!survives, `${name} survives the end of all`);
      assert.ok(index.includes(this.ids.get(name)!), `${name} is alive and not listed`);
    }
  }

  /** Once all are over and another log-in or list has run, there are no more than may be. */
  async assertLimited(): Promise<void> {
    if (this.#maxSessions === undefined) return;
    const { prefix } = this;
    if (this.ids.size % 2 === 0) await new UserSessions({ redis, prefix, timeoutMs: LIST_LIMIT_MS }).listSessions(USER);
    else await this.logInDirectly("next");
    const alive = await this.alive();
    assert.ok(alive.length <= this.#maxSessions, `${alive.join(" and ")} are alive`);
  }

  get #indexKey(): string {
    return `${this.prefix}user:${createHash("sha256").update(USER).digest("base64url")}`;
  }

  /** Nothing is left over, and after an end of all nothing at all. */
  async assertEnds(): Promise<void> {
    await this.direct.endSessions(USER);
    assert.deepEqual(await this.alive(), []);
    assert.deepEqual(await redis.zRange(this.#indexKey, 0, -1), []);
  }
}

interface Scenario {
  title: string;
  /** Sessions that are there at the beginning. */
  sessions?: string[];
  maxSessions?: number;
  works: (run: Run) => Work[];
  /** The sessions of which so many must be alive at the end. */
  expected?: { of: string[]; alive: number };
  /** Where there are too many schedules for each of them to be tried: so many at random. */
  samples?: number;
}

const scenarios: Scenario[] = [
  {
    title: "two log-ins",
    works: (run) => [run.logIn("a"), run.logIn("b")],
    expected: { of: ["a", "b"], alive: 2 },
  },
  { title: "a log-in and an end of all", works: (run) => [run.logIn("a"), run.endAll()] },
  {
    title: "a rotation and an end of all others",
    sessions: ["a", "k"],
    works: (run) => [run.rotate("a", "a2"), run.endAll("k")],
    expected: { of: ["k"], alive: 1 },
  },
  {
    title: "two rotations, one after the other, and an end of all",
    sessions: ["a"],
    works: (run) => [run.rotate("a", "a2", "a3"), run.endAll()],
    samples: 100,
  },
  {
    title: "two rotations of one session at once",
    sessions: ["a"],
    works: (run) => [run.rotate("a", "a2"), run.rotate("a", "a3")],
    expected: { of: ["a2", "a3"], alive: 1 },
  },
  {
    title: "two ends of all others, from either side",
    sessions: ["a", "b"],
    works: (run) => [run.endAll("a"), run.endAll("b")],
  },
  { title: "two ends of all", sessions: ["a"], works: (run) => [run.endAll(), run.endAll()] },
  {
    title: "a rotation and an end of the session",
    sessions: ["a"],
    works: (run) => [run.rotate("a", "a2"), run.endOne("a")],
  },
  {
    title: "a rotation and a log-out",
    sessions: ["a"],
    works: (run) => [run.rotate("a", "a2"), run.logOut("a")],
  },
  { title: "a log-out and an end of all", sessions: ["a"], works: (run) => [run.logOut("a"), run.endAll()] },
  {
    title: "a log-in and a list",
    works: (run) => [run.logIn("a"), run.list()],
    expected: { of: ["a"], alive: 1 },
  },
  {
    title: "a rotation and a list",
    sessions: ["a"],
    works: (run) => [run.rotate("a", "a2"), run.list()],
    expected: { of: ["a2"], alive: 1 },
    samples: 200,
  },
  { title: "an expiry and a list", sessions: ["a"], works: (run) => [run.expire("a"), run.list()] },
  { title: "an expiry and a rotation", sessions: ["a"], works: (run) => [run.expire("a"), run.rotate("a", "a2")] },
  {
    title: "a log-in, a rotation and an end of all others",
    sessions: ["a", "k"],
    works: (run) => [run.logIn("b"), run.rotate("a", "a2"), run.endAll("k")],
    expected: { of: ["k"], alive: 1 },
    samples: 100,
  },
  {
    title: "two log-ins, a rotation and two lists",
    sessions: ["a"],
    works: (run) => [run.logIn("b"), run.logIn("c"), run.rotate("a", "a2"), run.list(), run.list()],
    expected: { of: ["a2", "b", "c"], alive: 3 },
    samples: 100,
  },
  {
    title: "two rotations, a log-in and two ends of all others, from either side",
    sessions: ["a", "b"],
    works: (run) => [run.rotate("a", "a2"), run.rotate("b", "b2"), run.logIn("c"), run.endAll("a"), run.endAll("b")],
    samples: 100,
  },
  {
    title: "two log-ins of a user who may have one session",
    sessions: ["a"],
    maxSessions: 1,
    works: (run) => [run.logIn("b"), run.logIn("c")],
    samples: 200,
  },
  {
    title: "three log-ins of a user who may have two sessions",
    sessions: ["a"],
    maxSessions: 2,
    works: (run) => [run.logIn("b"), run.logIn("c"), run.logIn("d")],
    expected: { of: ["a", "b", "c", "d"], alive: 2 },
    samples: 200,
  },
  {
    title: "two log-ins, and a rotation of the session that is to go",
    sessions: ["a", "x"],
    maxSessions: 2,
    works: (run) => [run.logIn("b"), run.logIn("c"), run.rotate("a", "a2", "a3")],
    expected: { of: ["a", "a2", "a3", "b", "c", "x"], alive: 2 },
    samples: 200,
  },
  {
    title: "a log-in, a rotation, an end of one and a list of a user who may have two sessions",
    sessions: ["a", "x"],
    maxSessions: 2,
    works: (run) => [run.logIn("b"), run.rotate("a", "a2"), run.endOne("x"), run.list()],
    samples: 200,
  },
  {
    title: "two log-ins, a rotation and an end of all others of a user who may have two sessions",
    sessions: ["a", "x"],
    maxSessions: 2,
    works: (run) => [run.logIn("b"), run.logIn("c"), run.rotate("a", "a2"), run.endAll("x")],
    samples: 200,
  },
  {
    title: "two log-ins and an expiry of a user who may have two sessions",
    sessions: ["a", "x"],
    maxSessions: 2,
    works: (run) => [run.logIn("b"), run.logIn("c"), run.expire("x")],
    expected: { of: ["a", "b", "c"], alive: 2 },
    samples: 200,
  },
];

const EXPECTED_ERRORS = [SessionRevokedError, RedisUnavailableError, ConnectionLostError];

async function runOnce({ sessions = [], maxSessions, works, expected }: Scenario, schedule: Schedule): Promise<void> {
  const run = new Run(maxSessions);
  // Deadlines are whole seconds, so these are set apart: the limit then ends these first, and in this order.
  for (const [i, name] of sessions.entries()) await run.logInDirectly(name, HOUR * (i + 1));
  const errors = await runInterleaved(redis, works(run), { ...schedule, afterEach: () => run.assertRight() });
  for (const error of errors) if (!EXPECTED_ERRORS.some((type) => error instanceof type)) throw error;
  await run.assertRight();
  if (expected && !schedule.crash) {
    const alive = await run.alive();
    assert.equal(expected.of.filter((name) => alive.includes(name)).length, expected.alive);
  }
  await run.assertLimited();
  await run.assertEnds();
}

const randomChoice = (seed: number): Schedule["choose"] => {
  const random = randomFrom(seed);
  return (count) => Math.floor(random() * count);
};

describe("one command at a time, all that was ended is dead and all that lives is listed:", () => {
  for (const scenario of scenarios) {
    const { title, samples } = scenario;
    test(samples ? `${samples} random interleavings of ${title}` : `every interleaving of ${title}`, async (t) => {
      if (samples === undefined) {
        const runs = await forEverySchedule((choose) => runOnce(scenario, { choose }));
        t.diagnostic(`${runs} interleavings`);
        return;
      }
      const seeds = Array.from({ length: samples }, (_, i) => i + 1);
      await Promise.all(seeds.map((seed) => runOnce(scenario, { choose: randomChoice(seed) })));
    });
  }
});

describe("a crash after each command leaves nothing that is alive and cannot be ended:", { concurrency: true }, () => {
  for (const scenario of scenarios) {
    test(scenario.title, async () => {
      const processes = Array.from(scenario.works(new Run()).keys());
      await Promise.all(processes.map((process) => crashEverywhere(scenario, process)));
    });
  }
});

/** A process that is over before it can crash has sent all its commands. */
async function crashEverywhere(scenario: Scenario, process: number): Promise<void> {
  for (let after = 0, mayCrash = true; mayCrash; after++) {
    const crashes = [1, 2, 3].map((seed) => ({ seed, crash: { process, after, hasHappened: false } }));
    await Promise.all(crashes.map(({ seed, crash }) => runOnce(scenario, { choose: randomChoice(seed), crash })));
    mayCrash = crashes.some(({ crash }) => crash.hasHappened);
  }
}
