import { spawn } from "node:child_process";
import { once } from "node:events";
import { Browser } from "./browser.ts";
import { killAtExit, type Lifetime } from "./child-process.ts";
import type { SpawnedRedis } from "./redis-process.ts";

/** Five seconds are promised for a stop, and a busy machine takes long to start a server that is to end by itself. */
const END_LIMIT_MS = 30_000;

/** `npm test` compiles the server once; a test file that is run by itself starts the source. */
const COMPILED = process.env["DEMO_SERVER"];
const SERVER = COMPILED === undefined ? ["--import", "tsx", "server.ts"] : [COMPILED];

const NO_REDIS = new URL("no-redis-on-default-ports.mjs", import.meta.url);
/** The environment of a server that finds no Redis at localhost:6379, whatever runs on this machine. */
export const NO_REDIS_ON_DEFAULT_PORTS = { NODE_OPTIONS: `--import ${NO_REDIS}` };

export interface SpawnedServer {
  end: (limitMs?: number) => Promise<{ code: number | null; stdout: string; stderr: string }>;
}

/** The real server in a process of its own, killed when the test ends at the latest. */
export function spawnServer(t: Lifetime, args: string[], environment: Record<string, string> = {}) {
  const child = spawn(process.execPath, [...SERVER, ...args], {
    cwd: new URL("..", import.meta.url),
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...environment },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  killAtExit(child);
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (stdout += chunk));
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
  const ended = once(child, "close").then(() => ({ code: child.exitCode, stdout, stderr }));
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });

  /** Waits for its end. A server that does not end in time is killed, and its exit code is null. */
  async function end(limitMs = END_LIMIT_MS) {
    const overdue = setTimeout(() => child.kill("SIGKILL"), limitMs);
    return ended.finally(() => clearTimeout(overdue));
  }

  /** As a terminal does it: Ctrl-C (SIGINT) and a closed window (SIGHUP) also reach the server's own children. */
  function kill(signal: NodeJS.Signals) {
    const isOfTerminal = signal === "SIGINT" || signal === "SIGHUP";
    process.kill(isOfTerminal ? -child.pid! : child.pid!, signal);
  }

  return {
    pid: child.pid!,
    /** What it has written to standard error so far. */
    stderr: () => stderr,
    end,
    kill,
    /** As when whoever reads the server's output is gone. */
    closeOutput() {
      child.stdout.destroy();
      child.stderr.destroy();
    },
    async stop(signal: NodeJS.Signals) {
      kill(signal);
      return end();
    },
    /** Waits until it listens; returns its address and what it printed so far. */
    async listening() {
      while (!/http:\S+\n/.test(stdout) || !/^Redis: .+\n/m.test(stdout)) {
        if (child.exitCode !== null || child.signalCode !== null)
          throw new Error(`The server ended: ${stdout}${stderr}`);
        await Promise.race([once(child.stdout, "data"), ended]);
      }
      const url = /http:\S+/.exec(stdout)![0];
      return { url, port: Number(new URL(url).port), stdout, browser: new Browser(url) };
    },
  };
}

/** The real server in a process of its own, listening, with this Redis. */
export async function spawnServerWith(t: Lifetime, redis: SpawnedRedis, { user = "", environment = {} } = {}) {
  const args = ["--port", "0", "--redis-url", `redis://${user}127.0.0.1:${redis.port}`];
  const server = spawnServer(t, args, environment);
  return { server, ...(await server.listening()) };
}
