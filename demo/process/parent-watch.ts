import { spawnSync } from "node:child_process";

const CHECK_EVERY_MS = 300;
const NPM_AGENT = /^npm\//; // yarn, pnpm and bun set `npm_config_user_agent` too
const NPM_EVENTS = new Set(["start", "dev", "npx"]); // the scripts of package.json that start the server, and npx
const NPM_COMMAND = /(^|[/\s])np[mx](-cli\.js)?(\s|$)/;
/** If npm has ended: tsx, a shell, the process that adopts orphans of this user, and process 1. */
const MAX_ORPHAN_ANCESTORS = 4;

/**
 * If npm, npx or tsx started this process, calls `onGone` when one of them has ended. They do not pass on every signal:
 * SIGHUP ends npm alone, SIGTERM ends npx and its shell but not tsx, and nothing can pass on SIGKILL. Without this, the
 * server would run on and keep its port. (No effect on Windows, where a process keeps the ID of a parent that ended.)
 */
export function watchParents(onGone: () => void): void {
  const parents = findParents();
  if (parents === undefined) return;
  const [parent, ...others] = parents;
  const timer = setInterval(() => {
    if (process.ppid === parent && others.every(isAlive)) return;
    clearInterval(timer);
    onGone();
  }, CHECK_EVERY_MS);
  timer.unref();
}

/**
 * The parent and, if npm started this process, every process up to npm. Undefined if it was started in another way; empty
 * if npm or tsx has already ended.
 */
function findParents(): number[] | undefined {
  const isStartedByTsx = process.execArgv.some((option) => option.endsWith("preflight.cjs")); // tsx adds this option
  const isStartedByNpm =
    NPM_AGENT.test(process.env["npm_config_user_agent"] ?? "") &&
    NPM_EVENTS.has(process.env["npm_lifecycle_event"] ?? "");
  if (!isStartedByTsx && !isStartedByNpm) return undefined;
  const ancestors = findAncestors();
  if (ancestors === undefined) return [process.ppid];
  if (!isStartedByNpm) return ancestors[0]?.command.includes("tsx") ? [process.ppid] : [];
  const npm = ancestors.findIndex(({ command }) => NPM_COMMAND.test(command));
  if (npm >= 0) return ancestors.slice(0, npm + 1).map(({ pid }) => pid);
  return ancestors.length <= MAX_ORPHAN_ANCESTORS ? [] : [process.ppid];
}

interface Ancestor {
  pid: number;
  command: string;
}

/** From the parent up to process 1. Undefined where there is no `ps`. */
function findAncestors(): Ancestor[] | undefined {
  const { stdout } = spawnSync("ps", ["-A", "-o", "pid=,ppid=,args="], { encoding: "utf8" });
  const lines = Array.from((stdout ?? "").matchAll(/^ *(\d+) +(\d+) +(.*)$/gm));
  if (lines.length === 0) return undefined;
  const processes = new Map(lines.map(([, pid, parent, command = ""]) => [Number(pid), { parent, command }]));
  const ancestors: Ancestor[] = [];
  for (let pid = process.ppid; pid > 0;) {
    const { parent, command } = processes.get(pid) ?? { parent: 0, command: "" };
    ancestors.push({ pid, command });
    pid = Number(parent);
  }
  return ancestors;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"; // it belongs to another user
  }
}
