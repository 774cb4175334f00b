import { type ChildProcess, spawn } from "node:child_process";
import { findProgram } from "./find-program.mjs";
import type { RedisServer } from "./target.ts";
import { REDIS_TIME_LIMITS } from "./time-limits.ts";

export interface PrivateRedis extends RedisServer {
  stop: () => Promise<void>;
}

/**
 * Starts a Redis that keeps its data in memory only, on a free port of the loopback address. If none of `programs` is on
 * the `PATH`, redis-memory-server builds Redis from source, once, which takes minutes: `onBuild` is called before that.
 */
export async function startPrivateRedis(
  onBuild: () => void = () => {},
  programs = ["redis-server", "valkey-server"],
): Promise<PrivateRedis> {
  const systemBinary = findProgram(...programs);
  if (systemBinary === undefined) onBuild();
  const { RedisMemoryServer } = await import("redis-memory-server"); // imported late: it takes 100 ms
  const server = await RedisMemoryServer.create({
    instance: { ip: "127.0.0.1" },
    binary: systemBinary === undefined ? {} : { systemBinary },
    spawn: { detached: true }, // so Ctrl-C does not end it: requests under way still need it
  });
  const { ip, port, childProcess } = await server.ensureInstance();
  if (childProcess) killWhenWeEnd(childProcess);
  return {
    host: ip,
    port,
    async stop() {
      const overdue = setTimeout(() => childProcess?.kill("SIGKILL"), REDIS_TIME_LIMITS.privateStopMs);
      await server.stop();
      clearTimeout(overdue);
    },
  };
}

/**
 * Kills the child when this process ends in any way, also by SIGKILL: then the standard input of a second child ends.
 * redis-memory-server starts a process for this too, but Ctrl-C ends that one before us.
 */
function killWhenWeEnd(child: ChildProcess): void {
  const script = `process.stdin.resume().on("end", () => process.kill(${child.pid}, "SIGKILL"))`;
  const guard = spawn(process.execPath, ["--eval", script], {
    detached: true,
    windowsHide: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  child.once("exit", () => guard.kill());
}
