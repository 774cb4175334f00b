/** The processes that are measured: Redis, and one server for each contender. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createClient } from "redis";
import { startPrivateRedis } from "../demo/redis/private.ts";

export interface Redis {
  url: string;
  version: string;
  stop(): Promise<void>;
}

export interface Server {
  port: number;
  stop(): Promise<void>;
}

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** For the server under test, or for this process where it measures the store in itself. */
export const MEASURED_CORE = 0;
/** For Redis, and for this process while it generates load. */
export const OTHER_CORE = 1;

/** Keeps a process, with all of its threads, on one core. Only Linux has `taskset`; elsewhere this does nothing. */
export function pin(pid: number, core: number): void {
  spawnSync("taskset", ["--all-tasks", "--cpu-list", "--pid", String(core), String(pid)]);
}

/** Starts a Redis for the benchmark alone: in memory, on the loopback interface, without snapshots. */
export async function startRedis(): Promise<Redis> {
  const { host, port, stop } = await startPrivateRedis();
  const url = `redis://${host}:${port}`;
  const client = await createClient({ url }).connect();
  await client.configSet("save", "");
  const information = await client.info("server");
  client.destroy();
  const value = (name: string) => new RegExp(`^${name}:(.*)\r$`, "m").exec(information)?.[1] ?? "";
  pin(Number(value("process_id")), OTHER_CORE);
  return { url, version: value("redis_version"), stop };
}

/** Starts a TypeScript file, given with its arguments; resolves once it has printed its address, which it does first. */
export async function startServer(args: string[], redis: Redis): Promise<Server> {
  const child = spawn(process.execPath, ["--import", "tsx", ...args], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, NODE_ENV: "production", REDIS_URL: redis.url },
  });
  process.once("exit", () => child.kill("SIGKILL"));
  const exited = once(child, "exit");
  const firstLine = once(createInterface(child.stdout), "line");
  const ended = exited.then(() => Promise.reject(new Error(`${args.join(" ")} ended before it listened`)));
  const [line] = (await Promise.race([firstLine, ended])) as [string];
  ended.catch(() => {}); // from here on, its end is no error
  pin(child.pid ?? 0, MEASURED_CORE);
  return {
    port: Number(/:(\d+)$/.exec(line)?.[1]),
    async stop() {
      child.kill("SIGTERM");
      await exited;
    },
  };
}
