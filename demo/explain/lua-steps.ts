/**
 * What the store's script does in Redis, operation by operation, in words. A test compares it with what Redis' MONITOR
 * shows.
 */
import type { Condition, ScriptCall } from "./lua-call.ts";

export interface ScriptStep {
  /** The command without the key; `…` stands for what depends on the moment. */
  command: string;
  why: string;
  /** The condition, in words, if it is not known whether the command ran; else empty. */
  only: string;
  /** Where the script has the command. */
  source: ScriptSource;
}

/** Which part of the script has it, and a text by which its line is found. */
export interface ScriptSource {
  part: "create" | "use" | "end";
  text: string;
}

type Step = Omit<ScriptStep, "only"> & { only?: Condition };

/** The operations of the script, and the methods of the store that use them. */
export const OPERATIONS = {
  create: "createSession, and the second half of rotateSession",
  read: "getSession",
  peek: "getSession without a refresh",
  increment: "incrementField",
  update: "updateSession",
  setTtl: "setSessionTtl",
  moveOut: "the first half of rotateSession",
  delete: "deleteSession",
};

export type Operation = keyof typeof OPERATIONS;

export const isOperation = (value: unknown): value is Operation =>
  typeof value === "string" && Object.hasOwn(OPERATIONS, value);

const IN_WORDS: Record<Condition, string> = {
  reset: "if due",
  capped: "if that comes first",
  "same second": "if used this second",
  removes: "if fields are removed",
};

/** `idleTtl` is the session's idle timeout in seconds, if it is known. */
export function scriptSteps({ operation, args, outcome, conditions }: ScriptCall, idleTtl?: number): ScriptStep[] {
  if (outcome === "not cached" || outcome === "refused" || !isOperation(operation)) return [];
  const steps = STEPS_OF[operation](args, idleTtl);
  if (outcome === "no session") {
    const [{ command, source }] = steps;
    return [{ command, source, why: "does the session exist? No, so nothing else runs", only: "" }];
  }
  return steps
    .filter(({ only }) => only === undefined || conditions === null || conditions.includes(only))
    .map(({ command, why, source, only }) => {
      const isCertain = only === undefined || conditions !== null;
      return { command, why, source, only: isCertain ? "" : IN_WORDS[only] };
    });
}

const use = (text: string): ScriptSource => ({ part: "use", text });
const create = (text: string): ScriptSource => ({ part: "create", text });

const NOT_PAST_DEADLINE = "but not past the absolute timeout";
const READ_ALL: Step = { command: "HGETALL", why: "does the session exist? Its fields", source: use('call("HGETALL"') };
const CHECK: Step = { command: "HMGET session_ttl …", why: "does the session exist?", source: use('call("HMGET"') };
const ASK_TIME_LEFT: Step = {
  command: "PTTL",
  why: "was the last reset a second ago or more? Then reset again",
  source: use('idle, left = ttl * 1000, call("PTTL"'),
};
const ASK_USER: Step = { command: "HMGET session_user", why: "whose is it?", source: use('"session_user")[1]') };
const DELETE: Step = { command: "DEL", why: "nothing brings it back", source: use('call("DEL"') };
const DELETE_OLD: Step = {
  command: "DEL",
  why: "the old ID is no longer valid",
  source: { part: "end", text: 'call("DEL"' },
};

const WRITE_BEFORE_DELETE: Step = {
  command: "HSET last_accessed_at …",
  why: "a full Redis refuses this, before anything is deleted",
  source: use('"last_accessed_at", app_time) -- If memory'),
};

/** The steps of each operation, of which at least the first always runs. */
const STEPS_OF: Record<Operation, (args: string[], idleTtl: number | undefined) => [Step, ...Step[]]> = {
  create([ttl]) {
    const [ms, idleTimeout] =
      ttl === undefined ? ["…", "the idle timeout"] : [Number(ttl) * 1000, `the idle timeout, ${ttl} s`];
    return [
      { command: "TIME", why: "Redis' clock, for the absolute timeout", source: create('call("TIME")') },
      { command: "HSET …", why: "the fields", source: create("unpack(fields") },
      {
        command: "HSET session_deadline …",
        why: "when the absolute timeout ends the session",
        source: create('"session_deadline", deadline)'),
      },
      {
        command: `PEXPIRE ${ms}`,
        why: idleTimeout,
        source: create('call("PEXPIRE", key'),
      },
      { command: "PEXPIREAT … LT", why: NOT_PAST_DEADLINE, source: create('call("PEXPIREAT", key, deadline') },
    ];
  },
  read: (_, idleTtl) => [READ_ALL, ASK_TIME_LEFT, ...resetSteps(idleTtl, "reset")],
  peek: () => [READ_ALL, { ...ASK_TIME_LEFT, why: "how much time is left? A peek does not change that" }],
  increment: (args, idleTtl) => [
    CHECK,
    {
      command: ["HINCRBY", ...args].join(" "),
      why: "adds in Redis, so that parallel requests all count",
      source: use('call("HINCRBY", key, ARGV[4], ARGV[5])'),
    },
    ASK_TIME_LEFT,
    ...resetSteps(idleTtl, "reset"),
  ],
  update: (_, idleTtl) => [
    CHECK,
    { command: "HSET …", why: "writes the fields given", source: use('call("HSET", key, unpack(written') },
    {
      command: "HDEL …",
      why: "removes the fields given as null",
      source: use('call("HDEL", key, unpack(removed'),
      only: "removes",
    },
    ASK_TIME_LEFT,
    ...resetSteps(idleTtl, "reset"),
  ],
  setTtl: ([ttl = ""]) => [
    CHECK,
    { command: `HSET session_ttl ${ttl}`, why: "this session's own idle timeout", source: use('"session_ttl", ttl)') },
    { ...ASK_TIME_LEFT, why: "does the key expire? A change of the timeout resets it in any case" },
    ...resetSteps(ttl === "" ? undefined : Number(ttl)),
  ],
  moveOut: () => [
    READ_ALL,
    WRITE_BEFORE_DELETE,
    { ...ASK_TIME_LEFT, why: "does the key expire, as it should?" },
    DELETE_OLD,
  ],
  delete: () => [CHECK, ASK_USER, DELETE],
};

const ASK_EXPIRY: Step = {
  command: "PEXPIRETIME",
  why: "does the key expire at the deadline already? Then a reset changes nothing",
  only: "same second",
  source: use('call("PEXPIRETIME"'),
};

/** `only` is left out for the operations that always reset the idle timeout. */
function resetSteps(idleTtl: number | undefined, only?: "reset"): Step[] {
  const [ms, again] = idleTtl === undefined ? ["…", "the idle timeout"] : [idleTtl * 1000, `${idleTtl} s`];
  const condition = only === undefined ? {} : { only };
  return [
    ...(only === undefined ? [] : [ASK_EXPIRY]),
    { command: `PEXPIRE ${ms}`, why: `${again} again`, source: use('call("PEXPIRE", key, idle)'), ...condition },
    { command: "PEXPIREAT … LT", why: NOT_PAST_DEADLINE, source: use('call("PEXPIREAT"'), ...condition },
    { command: "PTTL", why: "how much time is that?", source: use('call("PEXPIREAT"'), only: "capped" },
    {
      command: "HSET last_accessed_at …",
      why: "to show; no timeout depends on it",
      source: use('"last_accessed_at", app_time)\n'),
      ...condition,
    },
  ];
}
