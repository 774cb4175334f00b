/** The processes that are measured, and the processor's core on which each runs. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** For the server under test, or for this process where it measures the store in itself. */
export const MEASURED_CORE = 0;
/** For Redis, and for this process while it generates load. */
export const OTHER_CORE = 1;

/** Keeps a process, with all of its threads, on one core. Only Linux has `taskset`; elsewhere this does nothing. */
export function pin(pid: number, core: number): void {
  spawnSync("taskset", ["--all-tasks", "--cpu-list", "--pid", String(core), String(pid)]);
}

export interface Server {
  port: number;
  stop(): Promise<void>;
}

/** Starts a server on a free port. Resolves once it has printed its address, which it does first. */
export async function startServer(file: string, redisUrl: string): Promise<Server> {
  const child = spawn(process.execPath, ["--import", "tsx", file], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, NODE_ENV: "production", PORT: "0", REDIS_URL: redisUrl },
  });
  process.once("exit", () => child.kill("SIGKILL"));
  for await (const line of createInterface(child.stdout)) {
    pin(child.pid ?? 0, MEASURED_CORE);
    return { port: Number(/:(\d+)$/.exec(line)?.[1]), stop };
  }
  throw new Error(`${file} ended before it listened`);

  async function stop(): Promise<void> {
    const exited = once(child, "exit");
    child.kill("SIGTERM");
    await exited;
  }
}
