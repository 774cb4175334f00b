import { spawnSync } from "node:child_process";

const CHECK_EVERY_MS = 300;
const AGENT = /^npm\//; // yarn, pnpm and bun set the same variables
const EVENTS = new Set(["start", "dev", "npx"]); // npm's scripts that start the server, and npx
const ORPHAN_DEPTH = 4; // tsx, a shell, whoever adopts orphans for this user, and process 1
const NPM = /(^|[/\s])np[mx](-cli\.js)?(\s|$)/;

/**
 * Calls `onGone` once whoever started this process is gone: npm, npx or tsx. They do not pass on every signal. SIGHUP ends
 * npm alone, SIGTERM ends npx and its shell but not what they started, and nobody can pass on SIGKILL; this process would
 * serve its port on, and nobody would be there to stop it. (Not on Windows, where a process keeps a parent that is gone.)
 */
export function watchLauncher(onGone: () => void): void {
  const launchers = findLaunchers();
  if (launchers === undefined) return;
  const [parent, ...others] = launchers;
  const timer = setInterval(() => {
    if (process.ppid === parent && others.every(isAlive)) return;
    clearInterval(timer);
    onGone();
  }, CHECK_EVERY_MS);
  timer.unref();
}

/**
 * The parent and, if npm started it, all processes up to npm; undefined if nobody but a shell started us. Empty if npm is
 * gone already.
 */
function findLaunchers(): number[] | undefined {
  const isByTsx = process.execArgv.some((option) => option.endsWith("preflight.cjs")); // what its command loads first
  const isByNpm =
    AGENT.test(process.env["npm_config_user_agent"] ?? "") && EVENTS.has(process.env["npm_lifecycle_event"] ?? "");
  if (!isByTsx && !isByNpm) return undefined;
  const ancestors = findAncestors();
  if (!isByNpm || ancestors === undefined) return [process.ppid];
  const npm = ancestors.findIndex(({ command }) => NPM.test(command));
  if (npm >= 0) return ancestors.slice(0, npm + 1).map(({ pid }) => pid);
  const isOrphan = ancestors.length <= ORPHAN_DEPTH;
  return isOrphan ? [] : [process.ppid];
}

interface Ancestor {
  pid: number;
  command: string;
}

/** From the parent up to process 1; undefined where there is no `ps`. */
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
    return error instanceof Error && "code" in error && error.code === "EPERM"; // of another user
  }
}
