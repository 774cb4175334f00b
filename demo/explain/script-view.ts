import { SESSION_SCRIPT } from "../../session-store.ts";
import { isOperation, OPERATIONS, type ScriptStep, stepsOf } from "./script-steps.ts";

/** The values of `views/lua.ejs`. */
export interface ScriptView {
  operations: { name: string; method: string; isChosen: boolean }[];
  lines: ScriptLine[];
}

interface ScriptLine {
  words: { text: string; kind: "comment" | "string" | "keyword" | "" }[];
  /** Whether the chosen operation runs a command here, and why. */
  isMarked: boolean;
  isFirstMark: boolean;
  why: string;
}

const SOURCE = SESSION_SCRIPT.source.trim();

/** The script, with the lines marked that hold the commands of an operation; `read` if there is no such operation. */
export function createScriptView(operation: string | null): ScriptView {
  const chosen = isOperation(operation) ? operation : "read";
  const steps = stepsOf({ operation: chosen, args: [], outcome: "done" });
  const places = placesOf(steps);
  return {
    operations: Object.entries(OPERATIONS).map(([name, method]) => ({ name, method, isChosen: name === chosen })),
    lines: SOURCE.split("\n").map((line, index) => {
      const stepsHere = steps.filter((_, place) => places[place] === index);
      return {
        words: wordsOf(line),
        isMarked: stepsHere.length > 0,
        isFirstMark: index === places[0],
        why: stepsHere.map(({ why, isIfDue }) => (isIfDue ? `${why} (if due)` : why)).join("; "),
      };
    }),
  };
}

/**
 * The index of the line that runs each step: that of the first such call after the step before it. -1 if there is none; a
 * test checks that each step has one.
 */
export function placesOf(steps: ScriptStep[]): number[] {
  let end = 0; // of the call before
  return steps.map(({ command }) => {
    const [name, field = ""] = command.split(" ");
    const fieldPattern = /^[a-z_]+$/.test(field) ? `, key, "${field}"` : "";
    const call = new RegExp(`call\\w*\\("${name}"${fieldPattern}`, "g");
    call.lastIndex = end;
    if (!call.test(SOURCE)) return -1;
    end = call.lastIndex;
    return SOURCE.slice(0, end).split("\n").length - 1;
  });
}

const KEYWORDS = /^(local|function|if|then|elseif|else|end|for|do|in|return|not|and|or|false|nil)$/;

function wordsOf(line: string): ScriptLine["words"] {
  return (line.match(/--.*|"[^"]*"|\w+|[^\w"-]+|-/g) ?? []).map((text) => {
    if (text.startsWith("--")) return { text, kind: "comment" };
    if (text.startsWith('"')) return { text, kind: "string" };
    return { text, kind: KEYWORDS.test(text) ? "keyword" : "" };
  });
}
