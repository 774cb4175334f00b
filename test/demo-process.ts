import { spawn } from "node:child_process";
import { once } from "node:events";
import { isAbsolute, join } from "node:path";
import { Browser } from "./browser.ts";
import { killAtExit, type Lifetime } from "./child-process.ts";
import { PATH } from "./redis-program.ts";
import { reservedPort } from "./reserved-port.ts";
import { HANG_LIMIT_MS } from "./wait.ts";

/** Where `npm test` has compiled everything: through tsx, each start takes twice the CPU time. */
const { COMPILED } = process.env;

const NO_REDIS = new URL("no-redis-on-default-ports.mjs", import.meta.url);
/** The environment of a server that finds no Redis at localhost:6379, whatever runs on this machine. */
export const NO_REDIS_ON_DEFAULT_PORTS = { NODE_OPTIONS: `--import ${NO_REDIS}` };

export interface SpawnedProgram {
  pid: number;
  /** What it has written to standard error so far. */
  stderr: () => string;
  /** Waits until it has printed what matches, and returns the match. Rejects if it ends before. */
  printed: (pattern: RegExp) => Promise<RegExpExecArray>;
  /** Waits for its end. A program that does not end in time is killed, and its exit code is null. */
  end: () => Promise<{ code: number | null; stdout: string; stderr: string }>;
  /** As a terminal does it: Ctrl-C (SIGINT) and a closed window (SIGHUP) also reach the program's own children. */
  kill: (signal: NodeJS.Signals) => void;
  /** As when whoever reads the program's output is gone. */
  closeOutput: () => void;
}

/** A program of this project, or any other at an absolute path, in a process that is killed when the test ends. */
export function spawnProgram(
  t: Lifetime,
  file: string,
  args: string[],
  environment: Record<string, string>,
): SpawnedProgram {
  const child = spawn(process.execPath, [...commandOf(file), ...args], {
    env: { PATH, HOME: process.env["HOME"], ...environment },
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
  return {
    pid: child.pid!,
    stderr: () => stderr,
    async printed(pattern) {
      for (;;) {
        const match = pattern.exec(stdout);
        if (match) return match;
        const isOver = child.exitCode !== null || child.signalCode !== null;
        if (isOver) throw new Error(`${file} ended: ${stdout}${stderr}`);
        await Promise.race([once(child.stdout, "data"), ended]);
      }
    },
    async end() {
      const overdue = setTimeout(() => child.kill("SIGKILL"), HANG_LIMIT_MS);
      return ended.finally(() => clearTimeout(overdue));
    },
    kill(signal) {
      const isOfTerminal = signal === "SIGINT" || signal === "SIGHUP";
      try {
        process.kill(isOfTerminal ? -child.pid! : child.pid!, signal);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // it has ended by itself
      }
    },
    closeOutput() {
      child.stdout.destroy();
      child.stderr.destroy();
    },
  };
}

function commandOf(file: string): string[] {
  if (!file.endsWith("ts")) return [file];
  if (COMPILED === undefined || isAbsolute(file)) return ["--import", "tsx", file];
  return [join(COMPILED, file.replace(/\.ts$/, ".js"))];
}

/** The real server in a process of its own. */
export function spawnServer(t: Lifetime, args: string[], environment: Record<string, string> = {}) {
  const server = spawnProgram(t, "server.ts", args, environment);
  return {
    ...server,
    async stop(signal: NodeJS.Signals) {
      server.kill(signal);
      return server.end();
    },
    /** Waits until it listens; returns its address and what it printed so far. */
    async listening() {
      const { input: stdout } = await server.printed(/^Redis: .+\n/m);
      const url = /http:\S+/.exec(stdout)![0];
      return { url, port: Number(new URL(url).port), stdout, browser: new Browser(url) };
    },
  };
}

/** The real server in a process of its own, listening, with this Redis. */
export async function spawnServerWith(t: Lifetime, redis: { port: number }, { user = "", environment = {} } = {}) {
  const args = ["--port", "0", "--redis-url", `redis://${user}127.0.0.1:${redis.port}`];
  const server = spawnServer(t, args, environment);
  return { server, ...(await server.listening()) };
}

/** An example, or a program like it, in a process of its own. */
export async function spawnExample(t: Lifetime, file: string, environment: Record<string, string>) {
  const { PORT = String(await reservedPort()) } = environment;
  const example = spawnProgram(t, file, [], { ...environment, PORT });
  return {
    ...example,
    /** Waits until it listens; returns its address. */
    async listening() {
      await example.printed(/^Listening on .+\n/m);
      return `http://127.0.0.1:${PORT}`;
    },
  };
}
