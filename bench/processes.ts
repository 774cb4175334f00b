import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createClient } from "redis";
import { startPrivateRedis } from "../demo/redis/private.ts";
import { OTHER_CORE, pin } from "./machine.ts";

export interface Server {
  pid: number;
  port: number;
  stop(): Promise<void>;
}

export interface BenchRedis {
  url: string;
  pid: number;
  version: string;
  stop(): Promise<void>;
}

const START_LIMIT_MS = 30_000;
const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Starts a TypeScript file, given with its arguments; resolves once it has printed its address. */
export async function startServer(args: string[], { url }: BenchRedis): Promise<Server> {
  const child = spawn(process.execPath, ["--import", "tsx", ...args], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, NODE_ENV: "production", REDIS_URL: url },
  });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const startLimit = setTimeout(kill, START_LIMIT_MS);
  const port = await printedPort(child);
  clearTimeout(startLimit);
  return {
    pid: child.pid ?? 0,
    port,
    async stop() {
      process.off("exit", kill);
      child.kill("SIGTERM");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    },
  };
}

async function printedPort({ stdout, spawnargs }: ChildProcess): Promise<number> {
  if (stdout === null) throw new Error("no standard output");
  for await (const line of createInterface(stdout)) {
    const port = /http:\S+:(\d+)/.exec(line)?.[1];
    if (port === undefined) continue;
    stdout.resume(); // a pipe that nobody reads would fill up
    return Number(port);
  }
  throw new Error(`${spawnargs.join(" ")} ended before it listened`);
}

/** Starts a Redis for the benchmark alone: in memory, on the loopback interface, without snapshots. */
export async function startRedis(): Promise<BenchRedis> {
  const redis = await startPrivateRedis();
  const url = `redis://${redis.host}:${redis.port}`;
  const client = await createClient({ url }).connect();
  await client.configSet("save", "");
  const information = await client.info("server");
  await client.close();
  const value = (name: string) => new RegExp(`^${name}:(.*)\r$`, "m").exec(information)?.[1] ?? "";
  const pid = Number(value("process_id"));
  pin(pid, OTHER_CORE);
  return { url, pid, version: value("redis_version"), stop: () => redis.stop() };
}
