/**
 * A model of `user-sessions.ts`: the same operations, each a generator that yields one atomic step on one key of Redis
 * at a time. `explore` runs every interleaving of the processes of a scenario. A process may take no further step at any
 * point, so that a crash at any step is covered: whatever others do after it is explored as well.
 *
 * The model keeps what the protocol is about: which entries the index holds and in which state, and which sessions are
 * there. Time is one event, "a minute passes", which makes the entries of unfinished log-ins and rotations overdue.
 */

export type Id = string;

/** How the real protocol differs from simpler ones. Each rule is needed: `protocol.test.ts` shows what fails without it. */
export interface Rules {
  /** The entry is added before the session is created, not after it. */
  addsBeforeCreating: boolean;
  /** Creating ends with a look at the entry, and the session is deleted if it is marked or gone. */
  confirms: boolean;
  /** Ending all marks the entries first, so that they are not rotated any more. */
  marks: boolean;
  /** A session is deleted before its entry is removed. */
  deletesBeforeRemoving: boolean;
  /** Listing leaves alone an entry without a session for its first minute. */
  sparesUnfinished: boolean;
  /** Listing removes an entry only if it is as it was read. */
  comparesBeforePruning: boolean;
}

export const RULES: Rules = {
  addsBeforeCreating: true,
  confirms: true,
  marks: true,
  deletesBeforeRemoving: true,
  sparesUnfinished: true,
  comparesBeforePruning: true,
};

/** `unfinished` in its first minute, `overdue` after it, `confirmed` once its session was seen to be there. */
interface Entry {
  readonly progress: "unfinished" | "overdue" | "confirmed";
  readonly isMarked: boolean;
}

export interface Redis {
  index: Map<Id, Entry>;
  sessions: Set<Id>;
  /** Sessions on a node that does not reply. */
  unreachable: Set<Id>;
}

/** Runs on Redis in one atomic step. The result is kept in the state, so it must be plain data. */
interface Step {
  name: string;
  run: (redis: Redis) => unknown;
}

class Unavailable extends Error {}

/** Yields steps that are sent together and take effect in any order, and gets their results. */
type Program = Generator<Step[], unknown, unknown[]>;

export interface Process {
  name: string;
  /** Started only once somebody was given this ID. */
  needs?: Id | undefined;
  /** The session that this one becomes a new ID of. */
  rotates?: { from: Id; to: Id };
  /** An end of all sessions, but for this one. */
  endsAll?: { except: Id | undefined };
  program: () => Program;
}

// Steps on the index.

/** Entries of creations that took longer than a minute are void. */
function removeVoid(index: Map<Id, Entry>): void {
  for (const [id, { progress }] of index) if (progress === "overdue") index.delete(id);
}

const add = (id: Id, from?: Id): Step => ({
  name: `index: add ${id}`,
  run: ({ index }) => {
    removeVoid(index);
    if (from !== undefined && index.get(from)?.isMarked) return false;
    index.set(id, { progress: "unfinished", isMarked: false });
    return true;
  },
});

const confirm = (id: Id, from?: Id): Step => ({
  name: `index: confirm ${id}`,
  run: ({ index }) => {
    const entry = index.get(id);
    if (!entry || entry.isMarked) return false;
    index.set(id, { progress: "confirmed", isMarked: false });
    if (from !== undefined) index.delete(from);
    return true;
  },
});

const remove = (...ids: Id[]): Step => ({
  name: `index: remove ${ids.join(" and ")}`,
  run: ({ index }) => {
    for (const id of ids) index.delete(id);
  },
});

const read: Step = {
  name: "index: read",
  run: ({ index }) => {
    removeVoid(index);
    return [...index];
  },
};

const prune = (entries: [Id, Entry][], { comparesBeforePruning }: Rules): Step => ({
  name: `index: prune ${entries.map(([id]) => id).join(" and ")}`,
  run: ({ index }) => {
    for (const [id, { progress, isMarked }] of entries) {
      const entry = index.get(id);
      const isUnchanged = entry?.progress === progress && entry.isMarked === isMarked;
      if (isUnchanged || !comparesBeforePruning) index.delete(id);
    }
  },
});

const mark = (except: Id | undefined, { marks }: Rules): Step => ({
  name: "index: mark",
  run: ({ index }) => {
    const others = [...index.keys()].filter((id) => id !== except);
    if (marks) for (const id of others) index.set(id, { ...index.get(id)!, isMarked: true });
    return others;
  },
});

const aMinutePasses: Step = {
  name: "a minute passes",
  run: ({ index }) => {
    for (const [id, entry] of index) {
      if (entry.progress === "unfinished") index.set(id, { ...entry, progress: "overdue" });
    }
  },
};

// Steps on a session.

const UNAVAILABLE = "unavailable";

const onSession = (verb: string, id: Id, run: (sessions: Set<Id>) => unknown): Step => ({
  name: `session: ${verb} ${id}`,
  run: ({ sessions, unreachable }) => (unreachable.has(id) ? UNAVAILABLE : run(sessions)),
});
const create = (id: Id) => onSession("create", id, (sessions) => sessions.add(id).has(id));
const peek = (id: Id) => onSession("peek", id, (sessions) => sessions.has(id));
const take = (id: Id) => onSession("take", id, (sessions) => sessions.delete(id));
const end = (id: Id) => onSession("delete", id, (sessions) => sessions.delete(id));
const expire = (id: Id) => onSession("expire", id, (sessions) => sessions.delete(id));

function* only(step: Step): Generator<Step[], unknown, unknown[]> {
  return (yield [step])[0];
}

function* finishEnding(id: Id): Program {
  yield [end(id)];
  yield [remove(id)];
  return null;
}

export function operations(rules: Rules = RULES) {
  function* finish(id: Id, from?: Id): Program {
    yield [create(id)];
    if (!rules.addsBeforeCreating) yield [add(id)];
    if (!rules.confirms) {
      if (from !== undefined) yield [remove(from)];
      return id;
    }
    return (yield* only(confirm(id, from))) ? id : yield* finishEnding(id);
  }

  return {
    logIn: (id: Id): Process => ({
      name: `log-in ${id}`,
      *program() {
        if (rules.addsBeforeCreating) yield [add(id)];
        return yield* finish(id);
      },
    }),

    rotate: (from: Id, to: Id): Process => ({
      name: `rotation of ${from} to ${to}`,
      needs: from,
      rotates: { from, to },
      *program() {
        if (!(yield* only(peek(from)))) return null;
        if (rules.addsBeforeCreating && !(yield* only(add(to, from)))) return yield* finishEnding(from);
        if (yield* only(take(from))) return yield* finish(to, from);
        yield [remove(to)];
        return null;
      },
    }),

    logOut: (id: Id): Process => ({
      name: `log-out of ${id}`,
      needs: id,
      *program() {
        const isEnded = yield* only(end(id));
        if (isEnded) yield [remove(id)];
        return isEnded;
      },
    }),

    endOne: (id: Id): Process => ({
      name: `end of ${id}`,
      *program() {
        const entries = (yield* only(read)) as [Id, Entry][];
        if (!entries.some(([each]) => each === id)) return false;
        const isEnded = yield* only(end(id));
        if (isEnded) yield [remove(id)];
        return isEnded;
      },
    }),

    endAll: (except?: Id): Process => ({
      name: except === undefined ? "end of all" : `end of all but ${except}`,
      needs: except,
      endsAll: { except },
      *program() {
        const ids = (yield* only(mark(except, rules))) as Id[];
        if (ids.length === 0) return;
        if (!rules.deletesBeforeRemoving) yield [remove(...ids)];
        const results = yield ids.map(end);
        const ended = ids.filter((_, i) => results[i] !== UNAVAILABLE);
        if (rules.deletesBeforeRemoving && ended.length > 0) yield [remove(...ended)];
        if (ended.length < ids.length) throw new Unavailable();
      },
    }),

    list: (): Process => ({
      name: "list",
      *program() {
        const entries = (yield* only(read)) as [Id, Entry][];
        if (entries.length === 0) return;
        const areAlive = yield entries.map(([id]) => peek(id));
        const isDead = (_: unknown, i: number) => areAlive[i] === false;
        const dead = entries
          .filter(isDead)
          .filter(([, { progress }]) => progress !== "unfinished" || !rules.sparesUnfinished);
        if (dead.length > 0) yield [prune(dead, rules)];
      },
    }),

    expiry: (id: Id): Process => ({
      name: `expiry of ${id}`,
      needs: id,
      *program() {
        yield [expire(id)];
      },
    }),

    minute: (): Process => ({
      name: "time",
      *program() {
        yield [aMinutePasses];
      },
    }),

    outage: (id: Id): Process => ({
      name: `outage of the node of ${id}`,
      *program() {
        yield [{ name: "begins", run: ({ unreachable }) => void unreachable.add(id) }];
        yield [{ name: "is over", run: ({ unreachable }) => void unreachable.delete(id) }];
      },
    }),
  };
}

/** Where a process is: which steps it waits for, and the results that it got so far; or what came of it. */
type Position = Waiting | Finished;
interface Waiting {
  steps: Step[];
  results: unknown[];
  /** The results of all steps before. */
  history: unknown[][];
}
interface Finished {
  outcome: unknown;
  isRejected: boolean;
}
const PENDING = "pending";
const isWaiting = (position: Position): position is Waiting => "steps" in position;

interface State {
  redis: Redis;
  positions: Position[];
  /** For each end of all that has begun: the sessions that it must end. */
  targets: (Id[] | undefined)[];
  /** How it came to this. */
  trace: Trace | undefined;
}
interface Trace {
  step: string;
  before: Trace | undefined;
}

export interface Scenario {
  /** Sessions that are there at the beginning, with their entries. */
  sessions?: Id[];
  processes: Process[];
}

/** Returns what is wrong with a state, if anything. */
export type Property = (view: View) => string | undefined;

/** What a property sees of a state. */
export class View {
  readonly redis: Redis;
  readonly #scenario: Scenario;
  readonly #state: State;

  constructor(scenario: Scenario, state: State) {
    this.redis = state.redis;
    this.#scenario = scenario;
    this.#state = state;
  }

  /** The processes that have finished, and what came of them. */
  get outcomes(): { process: Process; outcome: unknown }[] {
    return this.#scenario.processes.flatMap((process, i) => {
      const position = this.#state.positions[i]!;
      return isWaiting(position) || position.isRejected ? [] : [{ process, outcome: position.outcome }];
    });
  }

  /** Whether somebody was given this ID. */
  isGiven(id: Id): boolean {
    return this.#scenario.sessions?.includes(id) || this.outcomes.some(({ outcome }) => outcome === id);
  }

  /** The sessions that the finished ends of all must have ended: those they found, and what became of them in rotations. */
  get sentenced(): Id[] {
    return this.outcomes.flatMap(({ process }) => {
      if (!process.endsAll) return [];
      const { except } = process.endsAll;
      const kept = this.#withDescendants(except === undefined ? [] : [except]);
      const targets = this.#state.targets[this.#scenario.processes.indexOf(process)]!;
      return this.#withDescendants(targets).filter((id) => !kept.includes(id));
    });
  }

  #withDescendants(ids: Id[]): Id[] {
    const all = new Set(ids);
    for (let size = -1; size < all.size;) {
      size = all.size;
      for (const { rotates } of this.#scenario.processes) if (rotates && all.has(rotates.from)) all.add(rotates.to);
    }
    return [...all];
  }

  /** Whether no process takes another step. */
  get isSettled(): boolean {
    return this.ready.length === 0;
  }

  /** The numbers of the processes that can take a step. */
  get ready(): number[] {
    return this.#scenario.processes.flatMap(({ needs }, i) => {
      const position = this.#state.positions[i]!;
      if (!isWaiting(position)) return [];
      return needs === undefined || hasBegun(position) || this.isGiven(needs) ? [i] : [];
    });
  }
}

export interface Exploration {
  states: number;
  /** The shortest way to a state that violates a property. */
  violation: { message: string; trace: string[] } | undefined;
}

/** Breadth first, so that what is found wrong is reached in the fewest steps. */
export function explore(scenario: Scenario, properties: Property[]): Exploration {
  const { sessions = [], processes } = scenario;
  const positions = processes.map(() => new Map<string, Position>());
  const first: State = {
    redis: {
      index: new Map(sessions.map((id) => [id, { progress: "confirmed", isMarked: false }])),
      sessions: new Set(sessions),
      unreachable: new Set(),
    },
    positions: processes.map((_, i) => positionAfter(i, [])),
    targets: processes.map(() => undefined),
    trace: undefined,
  };
  const queue = [first];
  const seen = new Set([keyOf(first)]);
  for (const state of queue) {
    const view = new View(scenario, state);
    for (const property of properties) {
      const message = property(view);
      if (message !== undefined) return { states: seen.size, violation: { message, trace: stepsOf(state) } };
    }
    for (const next of view.ready.flatMap((i) => statesAfter(state, i))) {
      const key = keyOf(next);
      if (seen.has(key)) continue;
      seen.add(key);
      queue.push(next);
    }
  }
  return { states: seen.size, violation: undefined };

  function statesAfter(state: State, i: number): State[] {
    const { steps, results, history } = state.positions[i] as Waiting;
    return steps.flatMap((step, part) => {
      if (results[part] !== PENDING) return [];
      const redis = copyOf(state.redis);
      const after = results.with(part, step.run(redis) ?? null);
      const position = after.includes(PENDING)
        ? { steps, results: after, history }
        : positionAfter(i, [...history, after]);
      const begins = processes[i]!.endsAll && history.length === 0 && state.targets[i] === undefined;
      return {
        redis,
        positions: state.positions.with(i, position),
        targets: begins ? state.targets.with(i, targetsIn(state)) : state.targets,
        trace: { step: `${processes[i]!.name}: ${step.name}`, before: state.trace },
      };
    });
  }

  /** A session whose rotation is under way counts as alive: it was when the end of all may have been called. */
  function targetsIn({ redis, positions: now }: State): Id[] {
    const rotating = processes.flatMap(({ rotates }, i) => (rotates && hasBegun(now[i]!) ? rotates.from : []));
    return [...new Set([...redis.sessions, ...rotating])].toSorted();
  }

  function positionAfter(i: number, history: unknown[][]): Position {
    const key = JSON.stringify(history);
    const position = positions[i]!.get(key) ?? replay(processes[i]!.program(), history);
    positions[i]!.set(key, position);
    return position;
  }
}

function replay(program: Program, history: unknown[][]): Position {
  try {
    let { value, done } = program.next();
    for (const results of history) {
      const isRejected = results.length === 1 && results[0] === UNAVAILABLE;
      ({ value, done } = isRejected ? program.throw(new Unavailable()) : program.next(results));
    }
    if (done) return { outcome: value ?? null, isRejected: false };
    const steps = value as Step[];
    return { steps, results: steps.map(() => PENDING), history };
  } catch (error) {
    if (error instanceof Unavailable) return { outcome: null, isRejected: true };
    throw error;
  }
}

const hasBegun = (position: Position) =>
  isWaiting(position) && (position.history.length > 0 || position.results.some((result) => result !== PENDING));

const copyOf = ({ index, sessions, unreachable }: Redis): Redis => ({
  index: new Map(index),
  sessions: new Set(sessions),
  unreachable: new Set(unreachable),
});

/** States that have the same key go on in the same way. */
const keyOf = ({ redis: { index, sessions, unreachable }, positions, targets }: State) =>
  JSON.stringify([
    Array.from(index, ([id, { progress, isMarked }]) => id + progress + isMarked).toSorted(),
    [...sessions].toSorted(),
    [...unreachable],
    positions.map((each) => (isWaiting(each) ? [each.history, each.results] : [each.outcome, each.isRejected])),
    targets,
  ]);

function stepsOf({ trace }: State): string[] {
  const steps: string[] = [];
  for (let link = trace; link; link = link.before) steps.unshift(link.step);
  return steps;
}
