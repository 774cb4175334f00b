import { spawnSync } from "node:child_process";

const CHECK_EVERY_MS = 300;
const NPM_AGENT = /^npm\//; // yarn, pnpm and bun set `npm_config_user_agent` too
const NPM_EVENTS = new Set(["start", "dev", "npx"]); // the scripts of package.json that start the server, and npx
const NPM_COMMAND = /(^|[/\s])np[mx](-cli\.js)?(\s|$)/;

/**
 * If npm, npx or tsx started this process, calls `onGone` when one of them has ended. They do not pass on every signal:
 * SIGHUP ends npm alone, SIGTERM ends npx and its shell but not tsx, and nothing can pass on SIGKILL. Without this, the
 * server would go on and keep its port. On Windows it has no effect: `process.ppid` stays as it was when the parent ends.
 */
export function watchParents(onGone: () => void): void {
  const [parent, ...others] = findParents();
  if (parent === undefined) return;
  const timer = setInterval(() => {
    if (process.ppid === parent && others.every(isAlive)) return;
    clearInterval(timer);
    onGone();
  }, CHECK_EVERY_MS);
  timer.unref();
}

/**
 * The parent and, if npm started this process, every process up to npm. Empty if this process was started in another way.
 * A parent that has ended before this is called is not noticed.
 */
function findParents(): number[] {
  const isStartedByTsx = process.execArgv.some((option) => option.endsWith("preflight.cjs")); // tsx adds this option
  const isStartedByNpm =
    NPM_AGENT.test(process.env["npm_config_user_agent"] ?? "") &&
    NPM_EVENTS.has(process.env["npm_lifecycle_event"] ?? "");
  if (isStartedByNpm) return findProcessesUpToNpm() ?? [process.ppid];
  return isStartedByTsx ? [process.ppid] : [];
}

/** From the parent up to npm. Undefined if there is no npm among them, or no `ps`. */
function findProcessesUpToNpm(): number[] | undefined {
  const { stdout } = spawnSync("ps", ["-A", "-o", "pid=,ppid=,args="], { encoding: "utf8" });
  const lines = Array.from((stdout ?? "").matchAll(/^ *(\d+) +(\d+) +(.*)$/gm));
  const processes = new Map(lines.map(([, pid, parent, command = ""]) => [Number(pid), { parent, command }]));
  const found: number[] = [];
  let pid = process.ppid;
  for (let next = processes.get(pid); next !== undefined; next = processes.get(pid)) {
    found.push(pid);
    if (NPM_COMMAND.test(next.command)) return found;
    pid = Number(next.parent);
  }
  return undefined;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"; // it belongs to another user
  }
}
