import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** A process that we started and that says where it listens. */
export interface Server {
  pid: number;
  port: number;
  stop(): Promise<void>;
}

const START_LIMIT_MS = 30_000;

export const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Starts a server in the project's folder and answers once it has printed its address. */
export async function startServer(
  command: string,
  args: string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<Server> {
  const child = spawn(command, args, {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, NODE_ENV: "production", ...environment },
    detached: true, // a process group of its own, as npx passes no signal on to what it runs
  });
  const group = -(child.pid ?? Number.NaN);
  const kill = () => process.kill(group, "SIGKILL");
  process.once("exit", kill);
  const tooLong = setTimeout(kill, START_LIMIT_MS);
  const port = await portOf(child);
  clearTimeout(tooLong);
  return {
    pid: child.pid ?? 0,
    port,
    async stop() {
      process.off("exit", kill);
      process.kill(group, "SIGTERM");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    },
  };
}

async function portOf({ stdout, spawnargs }: ChildProcess): Promise<number> {
  if (stdout === null) throw new Error("no standard output");
  for await (const line of createInterface(stdout)) {
    const port = /http:\S+:(\d+)/.exec(line)?.[1];
    if (port === undefined) continue;
    stdout.resume(); // a pipe that nobody reads would fill up
    return Number(port);
  }
  throw new Error(`${spawnargs.join(" ")} ended before it listened`);
}

/** CPU time that a process has used, all threads, in microseconds. NaN where there is no /proc. */
export function cpuTime(pid: number): number {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const nanoseconds = threads.map((thread) => Number(readProc(pid, `task/${thread}/schedstat`)?.split(" ")[0]));
    return nanoseconds.reduce((sum, time) => sum + time, 0) / 1000;
  } catch {
    return Number.NaN;
  }
}

/** Resident memory of a process in MiB. NaN where there is no /proc. */
export function residentMemory(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readProc(pid, "status") ?? "")?.[1]) / 1024;
}

function readProc(pid: number, name: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "utf8");
  } catch {
    return undefined;
  }
}
