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
  /** Only an entry that was confirmed when it was read is removed because its session is gone. */
  sparesUnconfirmed: boolean;
  /** An entry that was not confirmed within a minute is marked, not removed. */
  marksOverdue: boolean;
  /** Whoever logs in or lists ends all that is marked, not only what it has marked itself. */
  endsWhatOthersMarked: boolean;
  /** While a rotation is under way, no entry is removed because its session is gone. */
  keepsWhileRotating: boolean;
  /** A list that finds a session gone reads the index again. */
  readsAgain: boolean;
  /** A list peeks again at a session that a rotation has not created yet. */
  awaitsRotations: boolean;
  /** A list reads entries that are not confirmed before the others. */
  readsUnconfirmedFirst: boolean;
  /** Which sessions have to go is chosen when an entry is confirmed, not when it is added. */
  choosesWhenConfirming: boolean;
  /** Sessions that stay were seen alive when others have to go. */
  peeksBeforeChoosing: boolean;
  /** Entries that are not confirmed are not counted and not chosen. */
  countsConfirmedOnly: boolean;
  /** A log-in does not choose itself. */
  logInSparesItself: boolean;
  /** A rotation that counts may choose itself. */
  rotationMayGo: boolean;
  /** A rotation that confirms one too many chooses, too. */
  countsRotations: boolean;
  /** Sessions that have to go are marked before they are deleted. */
  marksChosen: boolean;
}

export const RULES: Rules = {
  addsBeforeCreating: true,
  confirms: true,
  marks: true,
  deletesBeforeRemoving: true,
  sparesUnconfirmed: true,
  marksOverdue: true,
  endsWhatOthersMarked: true,
  keepsWhileRotating: true,
  readsAgain: true,
  awaitsRotations: true,
  readsUnconfirmedFirst: true,
  choosesWhenConfirming: true,
  peeksBeforeChoosing: true,
  countsConfirmedOnly: true,
  logInSparesItself: true,
  rotationMayGo: true,
  countsRotations: true,
  marksChosen: true,
};

/** `creating` and `rotating` until it is confirmed; overdue after a minute. */
interface Entry {
  readonly progress: "creating" | "rotating" | "confirmed";
  readonly isOverdue?: boolean;
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
type Program<Result = unknown> = Generator<Step[], Result, unknown[]>;

export interface Process {
  name: string;
  /** Started only once somebody was given this ID. */
  needs?: Id | undefined;
  /** Started only once all others are over. One of them may have crashed. */
  isLast?: boolean;
  /** The session that this one becomes a new ID of. */
  rotates?: { from: Id; to: Id };
  /** An end of all sessions, but for this one. */
  endsAll?: { except: Id | undefined };
  lists?: boolean;
  program: () => Program;
}

export interface Limits {
  maxSessions?: number;
  /** The sessions with the earliest deadlines have to go first. Those that are not named have the deadline 0. */
  deadlines?: Record<Id, number>;
  /** How many sessions a log-in peeks at in one step. */
  pageSize?: number;
}

const UNAVAILABLE = "unavailable";
const MOST_READINGS = 4; // Then the time limit of a list is over.

const markedIn = (index: Redis["index"]) => [...index.keys()].filter((id) => index.get(id)!.isMarked).toSorted();

const markIn = (index: Redis["index"], ids: Id[]) => {
  for (const id of ids) index.set(id, { ...index.get(id)!, isMarked: true });
};

// Steps on a session.

const onSession = (verb: string, id: Id, run: (sessions: Set<Id>) => unknown): Step => ({
  name: `session: ${verb} ${id}`,
  run: ({ sessions, unreachable }) => (unreachable.has(id) ? UNAVAILABLE : run(sessions)),
});
const create = (id: Id) => onSession("create", id, (sessions) => sessions.add(id).has(id));
const peek = (id: Id) => onSession("peek", id, (sessions) => sessions.has(id));
const moveOut = (id: Id) => onSession("move out", id, (sessions) => sessions.delete(id));
const end = (id: Id) => onSession("delete", id, (sessions) => sessions.delete(id));
const expire = (id: Id) => onSession("expire", id, (sessions) => sessions.delete(id));

export function operations(
  rules: Rules = RULES,
  { maxSessions = Infinity, deadlines = {}, pageSize = Infinity }: Limits = {},
) {
  // Steps on the index.

  const deadlineOf = (id: Id) => deadlines[id] ?? 0;
  const isCounted = ({ progress, isMarked }: Entry) =>
    !isMarked && (progress === "confirmed" || !rules.countsConfirmedOnly);

  /** The entries that count, the earliest deadline first. Those that are not confirmed have a minute. */
  function countedIn(index: Redis["index"]): Id[] {
    const rank = (id: Id) => (index.get(id)!.progress === "confirmed" ? deadlineOf(id) : -1);
    const ids = [...index.keys()].filter((id) => isCounted(index.get(id)!));
    return ids.toSorted((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  }

  function cleanUp(index: Redis["index"]): void {
    for (const [id, { isOverdue, isMarked }] of index) {
      if (!isOverdue || isMarked) continue;
      if (rules.marksOverdue) markIn(index, [id]);
      else index.delete(id);
    }
  }

  const add = (id: Id, from?: Id): Step => ({
    name: `index: add ${id}`,
    run: ({ index }) => {
      if (from !== undefined && index.get(from)?.isMarked) return null;
      const counted = countedIn(index);
      cleanUp(index);
      index.set(id, { progress: from === undefined ? "creating" : "rotating", isMarked: false });
      if (from !== undefined || !rules.peeksBeforeChoosing) return { isAtLimit: false, ids: [] };
      if (!rules.choosesWhenConfirming) {
        const chosen = counted.slice(0, Math.max(0, counted.length + 1 - maxSessions));
        markIn(index, chosen);
        return { isAtLimit: false, ids: [], chosen };
      }
      return { isAtLimit: maxSessions > 1 && counted.length >= maxSessions, ids: latestOf(counted, 0) };
    },
  });

  /** While a rotation is under way, the session that is gone may be the one that it rotates. */
  function removeGone(index: Redis["index"], gone: Id[]): void {
    const isOneRotated = [...index.values()].some(({ progress, isMarked }) => progress === "rotating" && !isMarked);
    if (isOneRotated && rules.keepsWhileRotating) return;
    for (const id of gone) index.delete(id);
  }

  const latestOf = (counted: Id[], skipped: number) => counted.toReversed().slice(skipped, skipped + pageSize);

  const confirm = (id: Id, from: Id | undefined, gone: Id[], alive: number): Step => ({
    name: `index: confirm ${id}`,
    run: ({ index }) => {
      const entry = index.get(id);
      if (!entry || entry.isMarked) return { outcome: "refused", ids: [] };
      const others = (each: Id) => each !== id && each !== from && !gone.includes(each);
      const counted = countedIn(index).filter(others);
      const counts = rules.choosesWhenConfirming && (from === undefined || rules.countsRotations);
      const excess = counts ? Math.max(0, counted.length + 1 - maxSessions) : 0;
      const stay = Math.min(from === undefined ? maxSessions - 1 : maxSessions, counted.length);
      if (excess > 0 && alive < stay && rules.peeksBeforeChoosing) {
        return { outcome: "peek", ids: latestOf(counted, alive) };
      }
      index.set(id, { progress: "confirmed", isMarked: false });
      if (from !== undefined) index.delete(from);
      removeGone(index, gone);
      const sparesItself = from === undefined ? rules.logInSparesItself : !rules.rotationMayGo;
      const chosen = countedIn(index)
        .filter((each) => (each === id ? !sparesItself : others(each)))
        .slice(0, excess);
      if (!rules.marksChosen) return { outcome: chosen.includes(id) ? "ended" : "confirmed", ids: chosen };
      markIn(index, chosen);
      const ids = rules.endsWhatOthersMarked ? markedIn(index) : chosen;
      return { outcome: chosen.includes(id) ? "ended" : "confirmed", ids };
    },
  });

  /** Returns the marked entries. */
  const remove = (ids: Id[], isUnwanted: (id: Id) => boolean = () => false): Step => ({
    name: `index: remove ${ids.join(" and ")}`,
    run: ({ index }) => {
      for (const id of ids) index.delete(id);
      return rules.endsWhatOthersMarked ? markedIn(index).filter((id) => !isUnwanted(id)) : [];
    },
  });

  /** Removes entries, and reads those with the highest score below `after`: the finest pages that there can be. */
  const readPage = (after: number, gone: Id[]): Step => ({
    name: gone.length > 0 ? `index: remove ${gone.join(" and ")}, and read` : "index: read",
    run: ({ index }) => {
      removeGone(index, gone);
      if (after === Infinity) cleanUp(index);
      const unconfirmed = rules.readsUnconfirmedFirst ? 1000 : -1000;
      const scoreOf = (id: Id) => (index.get(id)!.progress === "confirmed" ? deadlineOf(id) : unconfirmed);
      const rest = [...index].filter(([id, { isMarked }]) => !isMarked && scoreOf(id) < after);
      const score = Math.max(-Infinity, ...rest.map(([id]) => scoreOf(id)));
      const page = rest.filter(([id]) => scoreOf(id) === score).map(([id, { progress }]) => [id, progress] as const);
      const isLast = !rest.some(([id]) => scoreOf(id) < score);
      return {
        page: page.toSorted(([a], [b]) => (a < b ? -1 : 1)),
        next: isLast ? null : score,
        marked: after === Infinity ? markedIn(index) : [],
      };
    },
  });

  const mark = (except: Id | undefined): Step => ({
    name: "index: mark",
    run: ({ index }) => {
      const others = [...index.keys()].filter((id) => id !== except).toSorted();
      if (rules.marks) markIn(index, others);
      return others;
    },
  });

  const aMinutePasses: Step = {
    name: "a minute passes",
    run: ({ index }) => {
      for (const [id, entry] of index) if (entry.progress !== "confirmed") index.set(id, { ...entry, isOverdue: true });
    },
  };

  // What operations are made of.

  function* only(step: Step): Program {
    return (yield [step])[0];
  }

  function* endSession(id: Id): Program<null> {
    yield [end(id)];
    yield [remove([id])];
    return null;
  }

  function* endMarked(marked: Id[], kept?: Id): Program<{ isAll: boolean }> {
    const left: Id[] = [];
    for (let ids = marked.filter((id) => id !== kept); ids.length > 0;) {
      if (!rules.deletesBeforeRemoving) yield [remove(ids)];
      const results = yield ids.map(end);
      left.push(...ids.filter((_, i) => results[i] === UNAVAILABLE));
      const gone = ids.filter((_, i) => results[i] !== UNAVAILABLE);
      if (!rules.deletesBeforeRemoving) break;
      ids = (yield* only(remove(gone, (id) => id === kept || left.includes(id)))) as Id[];
    }
    return { isAll: left.length === 0 };
  }

  function* peekAt(ids: Id[], ...others: Step[]): Program<Id[]> {
    if (ids.length + others.length === 0) return [];
    const results = (yield [...others, ...ids.map(peek)]).slice(others.length);
    if (results.includes(UNAVAILABLE)) throw new Unavailable();
    return ids.filter((_, i) => results[i] === false);
  }

  function* confirmAndEnd(id: Id, from: Id | undefined, peeked: { gone: Id[]; alive: number }): Program<Id | null> {
    const gone = [...peeked.gone];
    let { alive } = peeked;
    for (;;) {
      const { outcome, ids } = (yield* only(confirm(id, from, gone, alive))) as { outcome: string; ids: Id[] };
      if (outcome === "refused") return yield* endSession(id);
      if (outcome !== "peek") {
        yield* endMarked(ids);
        return outcome === "confirmed" ? id : null;
      }
      const found = yield* peekAt(ids);
      gone.push(...found);
      alive += ids.length - found.length;
    }
  }

  function* logIn(id: Id): Program {
    if (!rules.addsBeforeCreating) {
      yield [create(id)];
      yield [add(id)];
      return yield* confirmAndEnd(id, undefined, { gone: [], alive: 0 });
    }
    const { isAtLimit, ids, chosen = [] } = (yield* only(add(id))) as { isAtLimit: boolean; ids: Id[]; chosen?: Id[] };
    yield* endMarked(chosen);
    if (!rules.confirms) {
      yield [create(id)];
      return id;
    }
    const gone = yield* peekAt(ids, create(id));
    return yield* confirmAndEnd(id, undefined, { gone, alive: isAtLimit ? ids.length - gone.length : 0 });
  }

  function* rotate(from: Id, to: Id): Program {
    if (!(yield* only(peek(from)))) return null;
    if (rules.addsBeforeCreating && (yield* only(add(to, from))) === null) return yield* endSession(from);
    if (!(yield* only(moveOut(from)))) {
      yield [remove([to])];
      return null;
    }
    yield [create(to)];
    if (!rules.addsBeforeCreating) yield [add(to)];
    if (rules.confirms) return yield* confirmAndEnd(to, from, { gone: [], alive: 0 });
    yield [remove([from])];
    return to;
  }

  /** Returns what is listed; nothing if the time limit is over. */
  function* list(): Program {
    const peeks = new Map<Id, boolean>();
    let gone: Id[] = [];
    for (let readings = 1; readings <= MOST_READINGS; readings++) {
      let isComplete = true;
      const listed: Id[] = [];
      let marked: Id[] = [];
      for (let after: number | null = Infinity; after !== null;) {
        type Page = { page: [Id, Entry["progress"]][]; next: number | null; marked: Id[] };
        const reply: Page = (yield* only(readPage(after, gone))) as Page;
        gone = [];
        after = reply.next;
        marked = marked.concat(reply.marked);
        const unknown = reply.page.filter(([id]) => !peeks.has(id));
        const dead = yield* peekAt(unknown.map(([id]) => id));
        for (const [id, progress] of unknown) {
          if (!dead.includes(id)) peeks.set(id, true);
          else if (progress === "confirmed" || !rules.sparesUnconfirmed) {
            peeks.set(id, false);
            gone.push(id);
            isComplete = false;
          } else if (progress !== "rotating" || !rules.awaitsRotations) peeks.set(id, false);
          else isComplete = false;
        }
        listed.push(...reply.page.map(([id]) => id).filter((id) => peeks.get(id)));
      }
      if (!isComplete && rules.readsAgain) continue;
      if (gone.length > 0) yield [remove(gone)];
      if (rules.endsWhatOthersMarked) yield* endMarked(marked);
      return listed;
    }
    return null;
  }

  return {
    logIn: (id: Id): Process => ({ name: `log-in ${id}`, program: () => logIn(id) }),

    rotate: (from: Id, to: Id): Process => ({
      name: `rotation of ${from} to ${to}`,
      needs: from,
      rotates: { from, to },
      program: () => rotate(from, to),
    }),

    logOut: (id: Id): Process => ({
      name: `log-out of ${id}`,
      needs: id,
      *program() {
        const isEnded = yield* only(end(id));
        if (isEnded) yield [remove([id])];
        return isEnded;
      },
    }),

    endOne: (id: Id): Process => ({
      name: `end of ${id}`,
      *program() {
        const { page, marked } = (yield* only(readPage(Infinity, []))) as { page: [Id, string][]; marked: Id[] };
        if (!page.some(([each]) => each === id) && !marked.includes(id)) return false;
        const isEnded = yield* only(end(id));
        if (isEnded) yield [remove([id])];
        return isEnded;
      },
    }),

    endAll: (except?: Id): Process => ({
      name: except === undefined ? "end of all" : `end of all but ${except}`,
      needs: except,
      endsAll: { except },
      *program() {
        const marked = (yield* only(mark(except))) as Id[];
        if (!(yield* endMarked(marked, except)).isAll) throw new Unavailable();
      },
    }),

    list: (): Process => ({ name: "list", lists: true, program: list }),

    /** All others are over by then, or one has crashed. */
    nextLogIn: (id: Id): Process => ({ name: `next log-in ${id}`, isLast: true, program: () => logIn(id) }),
    nextList: (): Process => ({ name: "next list", isLast: true, lists: true, program: list }),

    expiry: (id: Id): Process => ({
      name: `expiry of ${id}`,
      needs: id,
      *program() {
        yield [expire(id)];
      },
    }),

    minute: (isLast = false): Process => ({
      name: "time",
      isLast,
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
  hasCrashed?: boolean;
}
const PENDING = "pending";
const isWaiting = (position: Position): position is Waiting => "steps" in position;

interface State {
  redis: Redis;
  positions: Position[];
  /** For each end of all and each list that has begun: the sessions that were there then. */
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
  /** Entries of sessions that have expired. */
  stale?: Id[];
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
      const hasFinished = !isWaiting(position) && !position.isRejected && !position.hasCrashed;
      return hasFinished ? [{ process, outcome: position.outcome }] : [];
    });
  }

  /** Sessions that each finished list must show, under one ID or another: they were there all the while. */
  get unlisted(): Id[] {
    return this.outcomes.flatMap(({ process, outcome }) => {
      if (!process.lists || outcome === null) return [];
      const targets = this.#state.targets[this.#scenario.processes.indexOf(process)] ?? [];
      return targets.filter((id) => {
        const line = this.#withDescendants([id]);
        const isAlive = line.some((each) => this.redis.sessions.has(each) && this.isGiven(each));
        const isToEnd = line.some((each) => this.redis.index.get(each)?.isMarked);
        return isAlive && !isToEnd && !line.some((each) => (outcome as Id[]).includes(each));
      });
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

  /** Whether all are over but the last ones, which have not begun. */
  get isBeforeLast(): boolean {
    return this.ready.every((i) => this.#scenario.processes[i]!.isLast && !hasBegun(this.#state.positions[i]!));
  }

  get hasCrash(): boolean {
    return this.#state.positions.some((position) => !isWaiting(position) && position.hasCrashed);
  }

  /** The numbers of the processes that can take a step. */
  get ready(): number[] {
    const { processes } = this.#scenario;
    const { positions } = this.#state;
    const ready = processes.flatMap(({ needs, isLast }, i) => {
      const position = positions[i]!;
      if (!isWaiting(position) || isLast) return [];
      return needs === undefined || hasBegun(position) || this.isGiven(needs) ? [i] : [];
    });
    const last = processes.findIndex(({ isLast }, i) => isLast && isWaiting(positions[i]!));
    if (last === -1 || ready.length > (this.hasCrash ? 0 : 1)) return ready;
    return [...ready, last];
  }
}

export interface Exploration {
  states: number;
  /** The shortest way to a state that violates a property. */
  violation: { message: string; trace: string[] } | undefined;
}

/** Breadth first, so that what is found wrong is reached in the fewest steps. */
export function explore(scenario: Scenario, properties: Property[]): Exploration {
  const { sessions = [], stale = [], processes } = scenario;
  const positions = processes.map(() => new Map<string, Position>());
  const first: State = {
    redis: {
      index: new Map([...sessions, ...stale].map((id) => [id, { progress: "confirmed", isMarked: false }])),
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
      const { endsAll, lists, isLast } = processes[i]!;
      const begins = (endsAll || lists) && history.length === 0 && state.targets[i] === undefined;
      const others = isLast ? state.positions.map(crashIfUnfinished) : state.positions;
      return {
        redis,
        positions: others.with(i, position),
        targets: begins ? state.targets.with(i, targetsIn(state, lists)) : state.targets,
        trace: { step: `${processes[i]!.name}: ${step.name}`, before: state.trace },
      };
    });
  }

  /** When a last process begins, one that is not over has crashed. */
  function crashIfUnfinished(position: Position, i: number): Position {
    if (!isWaiting(position) || processes[i]!.isLast) return position;
    return { outcome: null, isRejected: false, hasCrashed: true };
  }

  /** A session whose rotation is under way counts as alive: it was when the end of all may have been called. */
  function targetsIn(state: State, areGiven = false): Id[] {
    const rotating = processes.flatMap(({ rotates }, i) =>
      rotates && hasBegun(state.positions[i]!) ? rotates.from : [],
    );
    const ids = [...new Set([...state.redis.sessions, ...rotating])].toSorted();
    return areGiven ? ids.filter((id) => new View(scenario, state).isGiven(id)) : ids;
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
    Array.from(index, ([id, { progress, isOverdue, isMarked }]) => id + progress + isOverdue + isMarked).toSorted(),
    [...sessions].toSorted(),
    [...unreachable],
    positions.map((each) =>
      isWaiting(each) ? [each.history, each.results] : [each.outcome, each.isRejected, each.hasCrashed],
    ),
    targets,
  ]);

function stepsOf({ trace }: State): string[] {
  const steps: string[] = [];
  for (let link = trace; link; link = link.before) steps.unshift(link.step);
  return steps;
}
