import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { explore, type Id, operations, type Property, type Rules, RULES, type Scenario } from "./protocol.ts";

/** Every session whose ID somebody was given is in the index while it is alive. */
const isListed: Property = (view) => {
  const { sessions, index } = view.redis;
  const unlisted = [...sessions].find((id) => view.isGiven(id) && !index.has(id));
  return unlisted && `${unlisted} is alive and not listed`;
};

/** What an end of all found alive, or what that was rotated to, opens nothing once it has resolved, nor ever after. */
const isEnded: Property = (view) => {
  const survivor = view.sentenced.find((id) => view.redis.sessions.has(id) && view.isGiven(id));
  return survivor && `${survivor} survives the end of all`;
};

/** Where nobody ends a session, each log-in succeeds, and of the rotations of a session exactly one. */
const isGranted: Property = ({ outcomes, isSettled }) => {
  const refused = outcomes.find(({ process, outcome }) => process.name.startsWith("log-in") && outcome === null);
  if (refused) return `${refused.process.name} is refused`;
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
  const orphan = [...sessions].find((id) => !view.isGiven(id));
  return orphan && `${orphan} is nobody's session`;
};

type Operations = ReturnType<typeof operations>;
interface Case {
  title: string;
  scenario: (operations: Operations) => Scenario;
  /** Besides `isListed` and `isEnded`, which hold in each. */
  properties?: Property[];
}

const cases: Case[] = [
  {
    title: "two log-ins while somebody lists",
    scenario: ({ logIn, list }) => ({ processes: [logIn("a"), logIn("b"), list(), list()] }),
    properties: [isGranted, isTidy],
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
    title: "two rotations while somebody lists",
    scenario: ({ rotate, list }) => ({
      sessions: ["a"],
      processes: [rotate("a", "a2"), rotate("a2", "a3"), list(), list()],
    }),
    properties: [isGranted, isTidy],
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
    title: "a log-in and a rotation that take longer than a minute while somebody lists",
    scenario: ({ logIn, rotate, list, minute }) => ({
      sessions: ["a"],
      processes: [logIn("b"), rotate("a", "a2"), minute(), list()],
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

/** They take half a minute: explored with `FULL=1`. */
const largeCases: Case[] = [
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
  for (const { title, scenario, properties = [] } of process.env["FULL"] === "1" ? [...cases, ...largeCases] : cases) {
    test(title, (t) => {
      const { states, violation } = explore(scenario(operations()), [isListed, isEnded, ...properties]);
      t.diagnostic(`${states} states`);
      assert.equal(violation, undefined, violation && [violation.message, ...violation.trace].join("\n"));
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
      "sparesUnfinished",
      "a log-in whose entry is pruned before its session exists is refused, though nobody ended it",
      ({ logIn, list }) => ({ processes: [logIn("a"), list()] }),
      isGranted,
      /^log-in a is refused$/,
    ],
    [
      "sparesUnfinished",
      "a rotation whose entry is pruned before its session exists signs its user out",
      ({ rotate, list }) => ({ sessions: ["a"], processes: [rotate("a", "a2"), list()] }),
      isGranted,
      /^a is lost in its rotation$/,
    ],
  ];
  for (const [rule, title, scenario, property, failure] of simpler) {
    test(`${title} (without ${rule})`, (t) => {
      const { violation } = explore(scenario(operations({ ...RULES, [rule]: false })), [property]);
      for (const step of violation?.trace ?? []) t.diagnostic(step);
      assert.match(violation?.message ?? "", failure);
    });
  }

  test("an entry that is pruned though it has changed since it was read leaves a live session unlisted", (t) => {
    const rules = { ...RULES, sparesUnfinished: false, comparesBeforePruning: false };
    const { logIn, list } = operations(rules);
    const { violation } = explore({ processes: [logIn("a"), list()] }, [isListed]);
    for (const step of violation?.trace ?? []) t.diagnostic(step);
    assert.equal(violation?.message, "a is alive and not listed");
  });
});
