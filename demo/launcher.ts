import { spawnSync } from "node:child_process";

const CHECK_EVERY_MS = 300;
const EVENTS = new Set(["start", "dev", "npx"]); // of npm: its scripts that start the server, and npx
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
 * The parent and, if it was started by npm in its turn, all processes up to npm; undefined if nobody but a shell started
 * us. Empty if npm is gone already.
 */
function findLaunchers(): number[] | undefined {
  const isByTsx = process.execArgv.some((option) => option.endsWith("preflight.cjs")); // what its command loads first
  const isByNpm = EVENTS.has(process.env["npm_lifecycle_event"] ?? "");
  if (!isByTsx && !isByNpm) return undefined;
  const ancestors = findAncestors();
  const npm = ancestors.findIndex(({ command }) => NPM.test(command));
  if (!isByNpm || ancestors.length === 0) return [process.ppid];
  if (npm >= 0) return ancestors.slice(0, npm + 1).map(({ pid }) => pid);
  const isOrphan = ancestors.length < 3; // at most tsx and a shell, and then whoever adopts orphans
  return isOrphan ? [] : [process.ppid];
}

interface Ancestor {
  pid: number;
  command: string;
}

/** The parent first, without process 1 unless that is npm, as in a container. Empty where there is no `ps`. */
function findAncestors(): Ancestor[] {
  const { stdout } = spawnSync("ps", ["-A", "-o", "pid=,ppid=,args="], { encoding: "utf8" });
  const lines = (stdout ?? "").matchAll(/^ *(\d+) +(\d+) +(.*)$/gm);
  const processes = new Map(Array.from(lines, ([, pid, parent, command]) => [Number(pid), { parent, command }]));
  const ancestors: Ancestor[] = [];
  for (let pid = process.ppid; pid > 0;) {
    const { parent, command = "" } = processes.get(pid) ?? {};
    if (pid > 1 || NPM.test(command)) ancestors.push({ pid, command });
    pid = Number(parent ?? 0);
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
