import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { connectRedis, type RedisServer } from "../../redis-connection/index.ts";
import { findProgram } from "./find-program.mjs";
import { StartError } from "./start-error.ts";

const HOST = "127.0.0.1";
const IN_MEMORY = ["--save", "", "--appendonly", "no"];
const START_LIMIT_MS = 10_000; // it takes 50 ms; the rest is for a busy machine
const RETRY_MS = 10; // from one attempt to connect to the next, while Redis starts
const STOP_LIMIT_MS = 700; // then it is killed: it has nothing to save
const ATTEMPTS = 3; // another process may take the free port before Redis does
const ADVICE = "Start a Redis at localhost:6379, or name one with --redis-host and --redis-port.";

export interface PrivateRedis extends RedisServer {
  stop: () => Promise<void>;
}

/**
 * Starts a Redis that keeps its data in memory only, on a free port of the loopback address. If none of `programs` is on
 * the `PATH`, builds Redis from source, once, which takes minutes: `onBuild` is called before that.
 */
export async function startPrivateRedis(
  onBuild: () => void = () => {},
  programs = ["redis-server", "valkey-server"],
): Promise<PrivateRedis> {
  const program = findProgram(...programs) ?? (await buildRedis(onBuild));
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const redis = await tryToStart(program);
    if (redis !== undefined) return redis;
  }
  throw new StartError(`A private Redis cannot be started: ${program} ends or does not reply. ${ADVICE}`);
}

async function buildRedis(onBuild: () => void): Promise<string> {
  onBuild();
  try {
    const { RedisBinary } = await import("redis-memory-server"); // imported late: it takes 100 ms
    return await RedisBinary.getPath();
  } catch (error) {
    throw new StartError(
      `There is no redis-server, and none can be built (${error instanceof Error ? error.message : String(error)}). ${ADVICE}`,
    );
  }
}

async function tryToStart(program: string): Promise<PrivateRedis | undefined> {
  const port = await findFreePort();
  const child = spawn(program, ["--bind", HOST, "--port", String(port), ...IN_MEMORY], {
    detached: true, // so Ctrl-C does not end it: requests under way still need it
    stdio: "ignore",
  });
  killWhenWeEnd(child);
  const ended = once(child, "exit");
  if (await isReady(child, port)) return { host: HOST, port, stop };
  await stop();
  return undefined;

  async function stop(): Promise<void> {
    const overdue = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MS);
    child.kill("SIGTERM");
    await ended;
    clearTimeout(overdue);
  }
}

async function findFreePort(): Promise<number> {
  const server = createServer();
  await once(server.listen(0, HOST), "listening");
  const { port } = server.address() as AddressInfo;
  await once(server.close(), "close");
  return port;
}

/**
 * Kills Redis when this process ends in any way. The guard is a second child. When this process dies, also by SIGKILL, the
 * guard's standard input ends, and it kills Redis. (It is not enough alone: a Ctrl-C just as it is started ends it too.)
 */
function killWhenWeEnd(child: ChildProcess): void {
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const script = `process.stdin.resume().on("end", () => process.kill(${child.pid}, "SIGKILL"))`;
  const guard = spawn(process.execPath, ["--eval", script], {
    detached: true,
    windowsHide: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  child.once("exit", () => {
    process.off("exit", kill);
    guard.kill();
  });
}

/** Resolves to false if the process has ended, or does not reply in time. */
async function isReady(child: ChildProcess, port: number): Promise<boolean> {
  const end = performance.now() + START_LIMIT_MS;
  while (child.exitCode === null && child.signalCode === null && performance.now() < end) {
    try {
      await (await connectRedis({ host: HOST, port })).close();
      return true;
    } catch {
      await sleep(RETRY_MS);
    }
  }
  return false;
}
