/**
 * What the store's script does in Redis, operation by operation, in words. A test compares it with what Redis' MONITOR
 * shows.
 */
import type { SessionOperation } from "../../session-store.ts";
import type { LoggedCommand } from "./command-log.ts";

export interface ScriptStep {
  /** The command without the key; `…` stands for what is not known or not shown. */
  command: string;
  why: string;
  /** Whether it runs only if something makes it necessary, such as a refresh that is due. */
  isIfDue: boolean;
}

/** The operations of the script, and the methods of the store that use them. */
export const OPERATIONS: Record<SessionOperation, string> = {
  create: "createSession, and the second half of rotateSession",
  read: "getSession",
  peek: "getSession without a refresh",
  increment: "incrementField",
  update: "updateSession",
  setTtl: "setSessionTtl",
  moveOut: "the first half of rotateSession",
  delete: "deleteSession",
};

export const isOperation = (value: unknown): value is SessionOperation =>
  typeof value === "string" && Object.hasOwn(OPERATIONS, value);

/** The steps of a call; none if the script did not run, or is another one. */
export function stepsOf({
  operation,
  args,
  outcome,
}: Pick<LoggedCommand, "operation" | "args" | "outcome">): ScriptStep[] {
  if (outcome === "not cached" || outcome === "refused" || !isOperation(operation)) return [];
  const steps = STEPS_OF[operation](args);
  return outcome === "done" ? steps : [step(steps[0].command, "does the session exist? No, so nothing else runs")];
}

const step = (command: string, why: string): ScriptStep => ({ command, why, isIfDue: false });
const ifDue = (always: ScriptStep): ScriptStep => ({ ...always, isIfDue: true });

const READ_ALL = step("HGETALL", "does the session exist? Its fields");
const CHECK = step("HMGET session_ttl …", "does the session exist?");
const ASK_USER = step("HMGET session_user", "whose is it?");
const ASK_IF_DUE = step("PTTL", "how long ago was the last reset? Is one due?");
const EXPIRE = step("PEXPIRE …", "the idle timeout again");
const LIMIT = step("PEXPIREAT … LT", "but not past the absolute timeout");
const ASK_LEFT = step("PTTL", "how much time is left now?");
const NOTE_ACCESS = step("HSET last_accessed_at …", "only to show");

const REFRESH_IF_DUE = [
  ASK_IF_DUE,
  ifDue(step("PEXPIRETIME", "does the absolute timeout come first already?")),
  ...[EXPIRE, LIMIT, ASK_LEFT, NOTE_ACCESS].map(ifDue),
];

/**
 * The steps of each operation on a session that exists, in order. Left out is what repairs a session that another program
 * has changed.
 */
const STEPS_OF: Record<SessionOperation, (args: string[]) => [ScriptStep, ...ScriptStep[]]> = {
  create: ([ttl = "…"]) => [
    step("TIME", "Redis' clock, for the absolute timeout"),
    step("HSET …", "the fields"),
    step("HSET session_deadline …", "when the absolute timeout ends the session"),
    step(`PEXPIRE ${toMs(ttl)}`, `the idle timeout, ${ttl} s`),
    LIMIT,
  ],
  read: () => [READ_ALL, ...REFRESH_IF_DUE],
  peek: () => [READ_ALL, step("PTTL", "how much time is left? A peek does not change that")],
  increment: (args) => [
    CHECK,
    step(["HINCRBY", ...args].join(" "), "adds in Redis, so that parallel requests all count"),
    ...REFRESH_IF_DUE,
  ],
  update: () => [
    CHECK,
    ifDue(step("HSET …", "writes the fields given")),
    ifDue(step("HDEL …", "removes the fields given as null")),
    ...REFRESH_IF_DUE,
  ],
  setTtl: ([ttl = "…"]) => [
    CHECK,
    step(`HSET session_ttl ${ttl}`, "this session's own idle timeout"),
    step("PTTL", "does the key expire, as it should?"),
    step(`PEXPIRE ${toMs(ttl)}`, `${ttl} s from now`),
    LIMIT,
    ifDue(ASK_LEFT),
    NOTE_ACCESS,
  ],
  moveOut: () => [
    READ_ALL,
    step("HSET last_accessed_at …", "if Redis refuses writes, it refuses this one, before anything is deleted"),
    step("PTTL", "does the key expire, as it should?"),
    step("DEL", "the old ID is no longer valid"),
  ],
  delete: () => [CHECK, ASK_USER, step("DEL", "nothing brings it back")],
};

const toMs = (seconds: string) => (seconds === "…" ? seconds : Number(seconds) * 1000);
