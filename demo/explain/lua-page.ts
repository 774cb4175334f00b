import { SESSION_SCRIPT } from "../../session-store.ts";
import { isOperation, type Operation, OPERATIONS, type ScriptStep, scriptSteps } from "./lua-steps.ts";

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

const LINES = SESSION_SCRIPT.source.trim().split("\n");
const lineThatStarts = (text: string) => LINES.findIndex((line) => line.startsWith(text));
/** Found by the text of these lines, so whoever changes one in the script has to change it here too. */
const FIRST_LINE_OF = {
  create: 0,
  use: lineThatStarts("-- No session, no write"),
  end: lineThatStarts('if operation == "moveOut" then'),
};

/** The script, with the lines marked that hold the commands of an operation; `read` if there is no such operation. */
export function createScriptView(operation: string | null): ScriptView {
  const chosen = isOperation(operation) ? operation : "read";
  const steps = stepsOfEachLine(chosen);
  const firstMark = Math.min(...steps.keys());
  return {
    operations: Object.entries(OPERATIONS).map(([name, method]) => ({ name, method, isChosen: name === chosen })),
    lines: LINES.map((line, index) => {
      const reasons = steps.get(index) ?? [];
      return {
        words: wordsOf(line),
        isMarked: reasons.length > 0,
        isFirstMark: index === firstMark,
        why: reasons.map(({ why, only }) => (only === "" ? why : `${why} (${only})`)).join("; "),
      };
    }),
  };
}

function stepsOfEachLine(operation: Operation): Map<number, ScriptStep[]> {
  const steps = scriptSteps({ operation, args: [], outcome: "done", conditions: null });
  const byLine = new Map<number, ScriptStep[]>();
  for (const step of steps) {
    const line = lineOf(step);
    byLine.set(line, [...(byLine.get(line) ?? []), step]);
  }
  return byLine;
}

/** -1 if the script has no such line; a test checks that it has. */
export function lineOf({ source: { part, text } }: ScriptStep): number {
  return LINES.findIndex((line, index) => index >= FIRST_LINE_OF[part] && `${line}\n`.includes(text));
}

const KEYWORDS = /^(local|if|then|elseif|else|end|for|do|in|return|not|and|or|false|nil)$/;

function wordsOf(line: string): ScriptLine["words"] {
  return (line.match(/--.*|"[^"]*"|\w+|[^\w"-]+|-/g) ?? []).map((text) => {
    if (text.startsWith("--")) return { text, kind: "comment" };
    if (text.startsWith('"')) return { text, kind: "string" };
    return { text, kind: KEYWORDS.test(text) ? "keyword" : "" };
  });
}
