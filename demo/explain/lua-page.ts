import { SESSION_SCRIPT, type SessionOperation } from "../../session-store.ts";
import { isOperation, OPERATIONS, type ScriptStep, stepsOf } from "./lua-steps.ts";

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

/** The script, with the lines marked that hold the commands of an operation; `read` if there is no such operation. */
export function createScriptView(operation: string | null): ScriptView {
  const chosen = isOperation(operation) ? operation : "read";
  const steps = stepsOf({ operation: chosen, args: [], outcome: "done" });
  const places = placesOf(chosen, steps);
  return {
    operations: Object.entries(OPERATIONS).map(([name, method]) => ({ name, method, isChosen: name === chosen })),
    lines: LINES.map((line, index) => {
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
 * The index of the line that runs each step: after the step before it, the first line that the operation reaches and that
 * calls the step's command. -1 if there is none; a test checks that each step has one.
 */
export function placesOf(operation: SessionOperation, steps: ScriptStep[]): number[] {
  const reached = reachedLines(operation);
  let next = { line: 0, column: 0 };
  return steps.map(({ command }) => {
    const call = new RegExp(`call\\w*\\("${command.split(" ")[0]}"`, "g");
    for (let { line, column } = next; line < LINES.length; line += 1, column = 0) {
      call.lastIndex = column;
      if (!reached[line] || !call.test(LINES[line]!)) continue;
      next = { line, column: call.lastIndex };
      return line;
    }
    return -1;
  });
}

/**
 * For each line of the script, whether the operation reaches it. Only conditions that name operations decide that. The
 * script is written for this: such a condition tests nothing else, and each block is indented.
 */
function reachedLines(operation: SessionOperation): boolean[] {
  const blocks: { indent: number; isChosen: boolean; isReached: boolean }[] = [];
  return LINES.map((line) => {
    const [, indent = "", keyword] = /^( *)(if|elseif|else)?\b/.exec(line) ?? [];
    const isFurtherBranch = keyword !== undefined && keyword !== "if";
    while (blocks.length > 0 && blocks.at(-1)!.indent >= indent.length + Number(isFurtherBranch)) blocks.pop();
    const isReached = blocks.every((block) => block.isReached);
    if (keyword === undefined) return isReached;

    const named = Array.from(line.matchAll(/operation == "(\w+)"/g), ([, name]) => name);
    const isNamed = named.includes(operation);
    const branch = isFurtherBranch ? blocks.pop()! : { indent: indent.length, isChosen: false, isReached: false };
    blocks.push({
      indent: indent.length,
      isChosen: branch.isChosen || isNamed,
      isReached: isNamed || (named.length === 0 && !branch.isChosen),
    });
    return isReached;
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
