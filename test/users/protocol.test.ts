import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  explore,
  type Id,
  type Limits,
  operations,
  type Property,
  type Rules,
  RULES,
  type Scenario,
  type View,
} from "./protocol.ts";

/** Every session whose ID somebody was given is in the index while it is alive. */
const isListed: Property = (view) => {
  const { sessions, index } = view.redis;
  const unlisted = [...sessions].find((id) => view.isGiven(id) && !index.has(id));
  return unlisted && `${unlisted} is alive and not listed`;
};

/** A list shows each session that was there from when it began until it was over, under one ID or another. */
const isShown: Property = ({ unlisted }) => unlisted[0] && `${unlisted[0]} is missing in a list`;

/** What an end of all found alive, or what that was rotated to, opens nothing once it has resolved, nor ever after. */
const isEnded: Property = (view) => {
  const survivor = view.sentenced.find((id) => view.redis.sessions.has(id) && view.isGiven(id));
  return survivor && `${survivor} survives the end of all`;
};

const isLogIn = ({ process }: View["outcomes"][number]) => process.name.includes("log-in");

/** Where nobody ends all sessions, each log-in succeeds. */
const isAdmitted: Property = ({ outcomes }) => {
  const refused = outcomes.find((each) => isLogIn(each) && each.outcome === null);
  return refused && `${refused.process.name} is refused`;
};

/** Where nobody ends a session, each log-in succeeds, and of the rotations of a session exactly one. */
const isGranted: Property = (view) => {
  const { outcomes, isSettled } = view;
  const refusal = isAdmitted(view);
  if (refusal) return refusal;
  const rotated = new Set(outcomes.flatMap(({ process }) => process.rotates?.from ?? []));
  const lost = [...rotated].find((from) => {
    const rotations = outcomes.filter(({ process }) => process.rotates?.from === from);
    return isSettled && rotations.filter(({ outcome }) => outcome !== null).length !== 1;
  });
  return lost && `${lost} is lost in its rotation`;
};

/** The session that an end of all is to keep is there when all is over. */
const isKept =
  (kept: Id): Property =>
  ({ redis, isSettled }) =>
    isSettled && !redis.sessions.has(kept) ? `${kept} is not kept` : undefined;

/** When all is over, no mark is left, and no session that nobody was given. */
const isTidy: Property = (view) => {
  if (!view.isSettled) return undefined;
  const { index, sessions } = view.redis;
  const marked = [...index].find(([, entry]) => entry.isMarked);
  if (marked) return `${marked[0]} stays marked`;
  const orphan = [...sessions].find((id) => !view.isGiven(id) && !view.hasCrash);
  return orphan && `${orphan} is nobody's session`;
};

type Operations = ReturnType<typeof operations>;
interface Case {
  title: string;
  scenario: (operations: Operations) => Scenario;
  limits?: Limits[];
  /** Besides `isListed`, `isShown` and `isEnded`, which hold in each. */
  properties?: Property[];
}

const cases: Case[] = [
  {
    title: "two log-ins while somebody lists",
    scenario: ({ logIn, list }) => ({ processes: [logIn("a"), logIn("b"), list(), list()] }),
    properties: [isGranted, isTidy],
  },
  {
    title: "a rotation of one of two sessions, whichever has the earlier deadline, while two list",
    limits: [{ deadlines: { a: 1, a2: 1, k: 2 } }, { deadlines: { a: 2, a2: 2, k: 1 } }],
    scenario: ({ rotate, list }) => ({ sessions: ["a", "k"], processes: [rotate("a", "a2"), list(), list()] }),
    properties: [isGranted, isTidy],
  },
  {
    title: "three rotations in a row while somebody lists",
    scenario: ({ rotate, list }) => ({
      sessions: ["a"],
      stale: ["z"],
      processes: [rotate("a", "a2"), rotate("a2", "a3"), rotate("a3", "a4"), list()],
    }),
    properties: [isGranted],
  },
  {
    title: "two log-ins and an end of all while somebody lists",
    scenario: ({ logIn, endAll, list }) => ({ processes: [logIn("a"), logIn("b"), endAll(), list()] }),
    properties: [isTidy],
  },
  {
    title: "a log-in, a rotation and an end of all others",
    scenario: ({ logIn, rotate, endAll }) => ({
      sessions: ["a", "k"],
      processes: [logIn("b"), rotate("a", "a2"), endAll("k")],
    }),
    properties: [isKept("k"), isTidy],
  },
  {
    title: "a rotation and an end of all others while somebody lists",
    scenario: ({ rotate, endAll, list }) => ({
      sessions: ["a", "k"],
      processes: [rotate("a", "a2"), endAll("k"), list()],
    }),
    properties: [isKept("k"), isTidy],
  },
  {
    title: "a log-in that is rotated twice, and an end of all",
    scenario: ({ logIn, rotate, endAll }) => ({
      processes: [logIn("a"), rotate("a", "a2"), rotate("a2", "a3"), endAll()],
    }),
    properties: [isTidy],
  },
  {
    title: "two rotations of one session at once while somebody lists",
    scenario: ({ rotate, list }) => ({ sessions: ["a"], processes: [rotate("a", "a2"), rotate("a", "a3"), list()] }),
    properties: [isGranted, isTidy],
  },
  {
    title: "two rotations of one session at once, and an end of all",
    scenario: ({ rotate, endAll }) => ({
      sessions: ["a"],
      processes: [rotate("a", "a2"), rotate("a", "a3"), endAll()],
    }),
    properties: [isTidy],
  },
  {
    title: "two ends of all others, from either side, and a rotation of the one that one of them keeps",
    scenario: ({ rotate, endAll }) => ({
      sessions: ["a", "b"],
      processes: [rotate("a", "a2"), endAll("a"), endAll("b")],
    }),
    properties: [isTidy],
  },
  {
    title: "two ends of all and a log-in",
    scenario: ({ logIn, endAll }) => ({ sessions: ["a"], processes: [logIn("b"), endAll(), endAll()] }),
    properties: [isTidy],
  },
  {
    title: "a log-in that is ended by itself, and by an end of all",
    scenario: ({ logIn, endOne, endAll, list }) => ({ processes: [logIn("a"), endOne("a"), endAll(), list()] }),
    properties: [isTidy],
  },
  {
    title: "a rotation, an end of the old and one of the new session",
    scenario: ({ rotate, endOne, list }) => ({
      sessions: ["a"],
      processes: [rotate("a", "a2"), endOne("a"), endOne("a2"), list()],
    }),
    properties: [isTidy],
  },
  {
    title: "a rotation, a log-out of the old and of the new session, and an end of all",
    scenario: ({ rotate, logOut, endAll }) => ({
      sessions: ["a"],
      processes: [rotate("a", "a2"), logOut("a"), logOut("a2"), endAll()],
    }),
    properties: [isTidy],
  },
  {
    title: "an expiry before, during and after a rotation while somebody lists",
    scenario: ({ rotate, expiry, list }) => ({
      sessions: ["a"],
      processes: [rotate("a", "a2"), expiry("a"), expiry("a2"), list(), list()],
    }),
    properties: [isTidy],
  },
  {
    title: "a log-in that takes longer than a minute while somebody lists",
    scenario: ({ logIn, list, minute }) => ({ sessions: ["a"], processes: [logIn("b"), minute(), list()] }),
    properties: [isTidy],
  },
  {
    title: "a rotation that takes longer than a minute while somebody lists",
    scenario: ({ rotate, list, minute }) => ({
      sessions: ["a", "k"],
      processes: [rotate("a", "a2"), minute(), list()],
    }),
    properties: [isTidy],
  },
  {
    title: "a log-in that takes longer than a minute, another one, and an end of all",
    scenario: ({ logIn, endAll, minute }) => ({ processes: [logIn("a"), logIn("b"), minute(), endAll()] }),
    properties: [isTidy],
  },
  {
    title: "an end of all while a node does not reply, another one, and a rotation",
    scenario: ({ rotate, endAll, outage }) => ({
      sessions: ["a", "b"],
      processes: [rotate("a", "a2"), outage("a"), endAll(), endAll()],
    }),
  },
];

/** Explored with `FULL=1`: they take minutes. */
const IS_FULL = process.env["FULL"] === "1";
const largeCases: Case[] = [
  {
    title: "a log-in and a rotation that take longer than a minute while somebody lists",
    scenario: ({ logIn, rotate, list, minute }) => ({
      sessions: ["a"],
      processes: [logIn("b"), rotate("a", "a2"), minute(), list()],
    }),
    properties: [isTidy],
  },
  {
    title: "a log-in, a rotation and an end of all others while somebody lists",
    scenario: ({ logIn, rotate, endAll, list }) => ({
      sessions: ["a", "k"],
      processes: [logIn("b"), rotate("a", "a2"), endAll("k"), list()],
    }),
    properties: [isKept("k"), isTidy],
  },
  {
    title: "two ends of all others, from either side, and rotations of both",
    scenario: ({ rotate, endAll }) => ({
      sessions: ["a", "b"],
      processes: [rotate("a", "a2"), rotate("b", "b2"), endAll("a"), endAll("b")],
    }),
    properties: [isTidy],
  },
  {
    title: "two ends of all, a log-in and a rotation",
    scenario: ({ logIn, rotate, endAll }) => ({
      sessions: ["a"],
      processes: [logIn("b"), rotate("a", "a2"), endAll(), endAll()],
    }),
    properties: [isTidy],
  },
];

describe("in every interleaving, with a crash at any step, all that was ended is dead and all that lives is listed:", () => {
  for (const { title, scenario, limits = [{}], properties = [] } of IS_FULL ? [...cases, ...largeCases] : cases) {
    test(title, (t) => {
      let count = 0;
      for (const limit of limits) {
        const { states, violation } = explore(scenario(operations(RULES, limit)), [
          isListed,
          isShown,
          isEnded,
          ...properties,
        ]);
        count += states;
        assert.equal(violation, undefined, violation && [violation.message, ...violation.trace].join("\n"));
      }
      t.diagnostic(`${count} states`);
    });
  }
});

/** With `maxSessions`. Each case is explored with every order of the deadlines of these sessions. */
interface LimitedCase {
  title: string;
  ids: Id[];
  maxSessions: number[];
  scenario: (operations: Operations) => Scenario;
  /** Explored with `FULL=1`. */
  isLarge?: boolean;
  /** Besides `isListed`, `isEnded` and `isLimited`, which hold in each. */
  properties?: ((limits: Required<Limits>, scenario: Scenario) => Property)[];
}

/** Once all are over, no more are alive than may be. If one has crashed, that is so after the next log-in or list. */
const isLimited =
  ({ maxSessions }: Limits): Property =>
  (view) => {
    const { isBeforeLast, isSettled, hasCrash } = view;
    const alive = [...view.redis.sessions];
    const tooMany = isSettled ? alive.filter((id) => view.isGiven(id)) : isBeforeLast && !hasCrash ? alive : [];
    return tooMany.length > maxSessions! ? `${tooMany.join(" and ")} are alive` : undefined;
  };

/** So are those that nobody was given. */
const hasNoOrphan =
  ({ maxSessions }: Limits): Property =>
  ({ redis, isSettled }) =>
    isSettled && redis.sessions.size > maxSessions! ? `${[...redis.sessions].join(" and ")} are alive` : undefined;

/** Where nobody ends a session, as many are alive as may be. */
const isFull =
  ({ maxSessions }: Limits, { sessions = [], processes }: Scenario): Property =>
  ({ redis, isBeforeLast, hasCrash }) => {
    const logIns = processes.filter(({ name }) => name.startsWith("log-in")).length;
    const isShort = redis.sessions.size < Math.min(maxSessions!, sessions.length + logIns);
    return isBeforeLast && !hasCrash && isShort ? `only ${[...redis.sessions].join(" and ")} alive` : undefined;
  };

/** Log-ins, even if one crashes, leave as many alive as there were. */
const isKeptFull =
  ({ maxSessions }: Limits, { sessions = [] }: Scenario): Property =>
  ({ redis }) =>
    redis.sessions.size < Math.min(maxSessions!, sessions.length) ? `only ${redis.sessions.size} alive` : undefined;

/** A session is ended only for sessions with later deadlines, or whose log-in came later. */
const isInOrder =
  ({ maxSessions, deadlines }: Required<Limits>, { sessions = [] }: Scenario): Property =>
  ({ redis, outcomes, isBeforeLast, hasCrash }) => {
    if (!isBeforeLast || hasCrash) return undefined;
    const given = outcomes.filter(isLogIn).map(({ outcome }) => outcome as Id | null);
    const isRotated = (id: Id) =>
      outcomes.some(({ process, outcome }) => process.rotates?.from === id && outcome !== null);
    const isWrong = (id: Id) => {
      if (redis.sessions.has(id) || isRotated(id)) return false;
      const better = [...redis.sessions].filter((each) => deadlines[each]! >= deadlines[id]! || given.includes(each));
      return better.length < maxSessions;
    };
    const wrong = [...sessions, ...given].find((id) => id !== null && isWrong(id));
    return wrong ? `${wrong} is ended before its turn` : undefined;
  };

const admitted = () => isAdmitted;
const tidy = () => isTidy;

const limitedCases: LimitedCase[] = [
  {
    title: "two log-ins",
    ids: ["a", "b", "c"],
    maxSessions: [1, 2],
    scenario: ({ logIn, nextLogIn }) => ({ sessions: ["a"], processes: [logIn("b"), logIn("c"), nextLogIn("q")] }),
    properties: [isFull, isKeptFull, isInOrder, admitted],
  },
  {
    title: "two log-ins of a user with two sessions",
    ids: ["a", "b", "c", "x"],
    maxSessions: [2],
    scenario: ({ logIn, nextList }) => ({ sessions: ["a", "x"], processes: [logIn("b"), logIn("c"), nextList()] }),
    properties: [isFull, isKeptFull, isInOrder, admitted, tidy],
  },
  {
    title: "two log-ins of a user with the entry of a session that is gone",
    ids: ["a", "b", "c", "x"],
    maxSessions: [2],
    scenario: ({ logIn }) => ({ sessions: ["a"], stale: ["x"], processes: [logIn("b"), logIn("c")] }),
    properties: [isFull, admitted, tidy],
  },
  {
    title: "a log-in and a rotation",
    ids: ["a", "b", "x"],
    maxSessions: [1, 2],
    scenario: ({ logIn, rotate, nextLogIn }) => ({
      sessions: ["a", "x"],
      processes: [logIn("b"), rotate("a", "a2"), nextLogIn("q")],
    }),
    properties: [isFull, admitted],
  },
  {
    title: "two log-ins and a rotation",
    isLarge: true,
    ids: ["a", "b", "c"],
    maxSessions: [1],
    scenario: ({ logIn, rotate }) => ({ sessions: ["a"], processes: [logIn("b"), logIn("c"), rotate("a", "a2")] }),
    properties: [isFull, admitted],
  },
  {
    title: "a log-in and an end of all others",
    ids: ["a", "b", "x"],
    maxSessions: [2],
    scenario: ({ logIn, endAll }) => ({ sessions: ["a", "x"], processes: [logIn("b"), endAll("x")] }),
    properties: [tidy],
  },
  {
    title: "a log-in, and two rotations of one session at once",
    ids: ["a", "b", "x"],
    maxSessions: [2],
    scenario: ({ logIn, rotate }) => ({
      sessions: ["a", "x"],
      processes: [logIn("b"), rotate("a", "a2"), rotate("a", "a3")],
    }),
    properties: [isFull, admitted],
  },
  {
    title: "a log-in and a rotation while somebody lists",
    isLarge: true,
    ids: ["a", "b", "x"],
    maxSessions: [2],
    scenario: ({ logIn, rotate, list }) => ({
      sessions: ["a", "x"],
      processes: [logIn("b"), rotate("a", "a2"), list()],
    }),
    properties: [isFull, admitted],
  },
  {
    title: "a log-in, a rotation and an end of all others",
    isLarge: true,
    ids: ["a", "b", "x"],
    maxSessions: [2],
    scenario: ({ logIn, rotate, endAll }) => ({
      sessions: ["a", "x"],
      processes: [logIn("b"), rotate("a", "a2"), endAll("x")],
    }),
    properties: [tidy],
  },
  {
    title: "two log-ins, an end of one session and a log-out of another",
    isLarge: true,
    ids: ["a", "b", "c", "x"],
    maxSessions: [2],
    scenario: ({ logIn, logOut, endOne }) => ({
      sessions: ["a", "x"],
      processes: [logIn("b"), logIn("c"), endOne("a"), logOut("x")],
    }),
    properties: [admitted, tidy],
  },
  {
    title: "a log-in, a rotation and an expiry",
    ids: ["a", "b", "x"],
    maxSessions: [2],
    scenario: ({ logIn, rotate, expiry, nextLogIn }) => ({
      sessions: ["a", "x"],
      processes: [logIn("b"), rotate("a", "a2"), expiry("x"), nextLogIn("q")],
    }),
    properties: [admitted, tidy],
  },
  {
    title: "a log-in and a rotation, then a minute, then a list",
    ids: ["a", "b", "x"],
    maxSessions: [2],
    scenario: ({ logIn, rotate, minute, nextList }) => ({
      sessions: ["a", "x"],
      processes: [logIn("b"), rotate("a", "a2"), minute(true), nextList()],
    }),
    properties: [hasNoOrphan],
  },
];

function exploreLimited({ ids, maxSessions, scenario, properties = [] }: LimitedCase, rules = RULES) {
  let states = 0;
  for (const most of maxSessions) {
    for (const order of ordersOf(ids)) {
      const deadlines: Record<Id, number> = Object.fromEntries(order.map((id, i) => [id, i + 1]));
      for (const id of ["a2", "a3"]) deadlines[id] = deadlines["a"]!;
      deadlines["q"] = 9;
      const limits = { maxSessions: most, deadlines, pageSize: Infinity };
      const each = scenario(operations(rules, limits));
      const all = [isLimited, ...properties].map((property) => property(limits, each));
      const result = explore(each, [isListed, isEnded, ...all]);
      states += result.states;
      if (result.violation) return { states, violation: result.violation, order };
    }
  }
  return { states, violation: undefined, order: [] };
}

/** All orders, but of b and c, which are alike, only one. */
function ordersOf(ids: Id[]): Id[][] {
  if (ids.length === 0) return [[]];
  const orders = ids.flatMap((id) => ordersOf(ids.filter((each) => each !== id)).map((rest) => [id].concat(rest)));
  return orders.filter((order) => !order.includes("c") || order.indexOf("b") < order.indexOf("c"));
}

describe("in every interleaving, with a crash at any step, no more sessions are alive than may be, and none is ended for a dead one:", () => {
  for (const each of limitedCases.filter(({ isLarge }) => IS_FULL || !isLarge)) {
    test(each.title, (t) => {
      const { states, violation, order } = exploreLimited(each);
      t.diagnostic(`${states} states`);
      assert.equal(
        violation,
        undefined,
        violation && [violation.message, order.join(" < "), ...violation.trace].join("\n"),
      );
    });
  }
});

describe("a simpler protocol fails:", () => {
  const simpler: [
    rule: keyof Rules,
    without: string,
    scenario: Case["scenario"],
    property: Property,
    failure: RegExp,
  ][] = [
    [
      "addsBeforeCreating",
      "an entry that is added after its session is created is missing when all are ended",
      ({ rotate, endAll }) => ({ sessions: ["a"], processes: [rotate("a", "a2"), endAll()] }),
      isEnded,
      /^a2 survives the end of all$/,
    ],
    [
      "confirms",
      "a log-in that does not look at its entry after an end of all is not listed",
      ({ logIn, endAll }) => ({ processes: [logIn("a"), endAll()] }),
      isListed,
      /^a is alive and not listed$/,
    ],
    [
      "confirms",
      "a rotation that does not look at its entry survives an end of all",
      ({ rotate, endAll }) => ({ sessions: ["a"], processes: [rotate("a", "a2"), endAll()] }),
      isEnded,
      /^a2 survives the end of all$/,
    ],
    [
      "marks",
      "a session that is not marked is rotated while all are ended, and survives",
      ({ rotate, endAll }) => ({ sessions: ["a"], processes: [rotate("a", "a2"), endAll()] }),
      isEnded,
      /^a2 survives the end of all$/,
    ],
    [
      "deletesBeforeRemoving",
      "a session whose entry is removed before it is deleted is alive and not listed",
      ({ endAll }) => ({ sessions: ["a"], processes: [endAll()] }),
      isListed,
      /^a is alive and not listed$/,
    ],
    [
      "sparesUnconfirmed",
      "a log-in whose entry is pruned before its session exists is refused, though nobody ended it",
      ({ logIn, list }) => ({ processes: [logIn("a"), list()] }),
      isGranted,
      /^log-in a is refused$/,
    ],
    [
      "readsAgain",
      "a list that does not read the index again misses a session that is rotated meanwhile",
      ({ rotate, list }) => ({ sessions: ["a"], processes: [rotate("a", "a2"), list()] }),
      isShown,
      /^a is missing in a list$/,
    ],
    [
      "awaitsRotations",
      "a list that does not peek again at the new session of a rotation misses it",
      ({ rotate, list }) => ({ sessions: ["a"], processes: [rotate("a", "a2"), list()] }),
      isShown,
      /^a is missing in a list$/,
    ],
    [
      "readsUnconfirmedFirst",
      "a list that reads entries that are not confirmed last misses a session that is confirmed meanwhile",
      ({ rotate, list }) => ({ sessions: ["a"], processes: [rotate("a", "a2"), list(), list()] }),
      isShown,
      /^a is missing in a list$/,
    ],
    [
      "keepsWhileRotating",
      "a list misses a session that is rotated while another list removes its old entry",
      ({ rotate, list }) => ({ sessions: ["a", "k"], processes: [rotate("a", "a2"), list(), list()] }),
      isShown,
      /^a is missing in a list$/,
    ],
  ];
  for (const [rule, title, scenario, property, failure] of simpler) {
    test(`${title} (without ${rule})`, (t) => {
      const limits = { deadlines: { a: 1, a2: 1, k: 2 } };
      const { violation } = explore(scenario(operations({ ...RULES, [rule]: false }, limits)), [property]);
      for (const step of violation?.trace ?? []) t.diagnostic(step);
      assert.match(violation?.message ?? "", failure);
    });
  }
});

describe("a simpler protocol fails with maxSessions:", () => {
  const simpler: [rule: keyof Rules, without: string, each: Omit<LimitedCase, "title">, failure: RegExp][] = [
    [
      "choosesWhenConfirming",
      "a log-in that chooses when it adds its entry ends a session and crashes",
      {
        ids: ["a", "b"],
        maxSessions: [1],
        scenario: ({ logIn }) => ({ sessions: ["a"], processes: [logIn("b")] }),
        properties: [isKeptFull],
      },
      /^only 0 alive$/,
    ],
    [
      "peeksBeforeChoosing",
      "a log-in that does not peek ends a session though another one is gone",
      {
        ids: ["a", "b", "x"],
        maxSessions: [2],
        scenario: ({ logIn }) => ({ sessions: ["a"], stale: ["x"], processes: [logIn("b")] }),
        properties: [isFull],
      },
      /^only b alive$/,
    ],
    [
      "countsConfirmedOnly",
      "a log-in is refused, because another one chooses it as the one with the earliest deadline",
      {
        ids: ["a", "b", "c"],
        maxSessions: [2],
        scenario: ({ logIn }) => ({ sessions: ["a"], processes: [logIn("b"), logIn("c")] }),
        properties: [admitted],
      },
      /^log-in [bc] is refused$/,
    ],
    [
      "logInSparesItself",
      "a log-in with an early deadline is refused",
      {
        ids: ["a", "b"],
        maxSessions: [1],
        scenario: ({ logIn }) => ({ sessions: ["a"], processes: [logIn("b")] }),
        properties: [admitted],
      },
      /^log-in b is refused$/,
    ],
    [
      "rotationMayGo",
      "a rotation that does not choose itself ends a session with a later deadline",
      {
        ids: ["a", "b", "x"],
        maxSessions: [2],
        scenario: ({ logIn, rotate }) => ({ sessions: ["a", "x"], processes: [logIn("b"), rotate("a", "a2")] }),
        properties: [isInOrder],
      },
      /^b is ended before its turn$/,
    ],
    [
      "countsRotations",
      "a rotation that does not count makes one too many",
      {
        ids: ["a", "b", "x"],
        maxSessions: [2],
        scenario: ({ logIn, rotate }) => ({ sessions: ["a", "x"], processes: [logIn("b"), rotate("a", "a2")] }),
      },
      /^a2 and b and x are alive$|^x and b and a2 are alive$/,
    ],
    [
      "marksChosen",
      "a session that is not marked stays alive if the log-in crashes that has chosen it",
      {
        ids: ["a", "b"],
        maxSessions: [1],
        scenario: ({ logIn, nextList }) => ({ sessions: ["a"], processes: [logIn("b"), nextList()] }),
        properties: [hasNoOrphan],
      },
      /are alive$/,
    ],
    [
      "endsWhatOthersMarked",
      "what a log-in has marked that crashed stays alive",
      {
        ids: ["a", "b"],
        maxSessions: [1],
        scenario: ({ logIn, nextLogIn }) => ({ sessions: ["a"], processes: [logIn("b"), nextLogIn("q")] }),
      },
      /are alive$/,
    ],
    [
      "marksOverdue",
      "the session of a log-in that crashed stays alive",
      {
        ids: ["a", "b"],
        maxSessions: [1],
        scenario: ({ logIn, minute, nextLogIn }) => ({
          sessions: ["a"],
          processes: [logIn("b"), minute(true), nextLogIn("q")],
        }),
        properties: [hasNoOrphan],
      },
      /are alive$/,
    ],
  ];
  for (const [rule, title, each, failure] of simpler) {
    test(`${title} (without ${rule})`, (t) => {
      const { violation } = exploreLimited({ title, ...each }, { ...RULES, [rule]: false });
      for (const step of violation?.trace ?? []) t.diagnostic(step);
      assert.match(violation?.message ?? "", failure);
    });
  }
});
