import { type ChildProcess, spawn } from "node:child_process";
import { findProgram } from "./find-program.mjs";
import type { RedisServer } from "./single.ts";
import { TIME_LIMITS } from "./time-limits.ts";

export interface PrivateRedis extends RedisServer {
  stop: () => Promise<void>;
}

/**
 * Starts a Redis of our own: in memory, on a free port, reachable from this machine only. Without one of `programs` on the
 * `PATH`, redis-memory-server builds Redis from source, once, which takes minutes: `onBuild` is called first.
 */
export async function startPrivateRedis(
  onBuild: () => void = () => {},
  programs = ["redis-server", "valkey-server"],
): Promise<PrivateRedis> {
  const systemBinary = findProgram(...programs);
  if (systemBinary === undefined) onBuild();
  const { RedisMemoryServer } = await import("redis-memory-server"); // takes 100 ms, and is seldom needed
  const server = await RedisMemoryServer.create({
    instance: { ip: "127.0.0.1" },
    binary: systemBinary === undefined ? {} : { systemBinary },
    spawn: { detached: true }, // Ctrl-C is for us: what is under way still needs Redis
  });
  const { ip, port, childProcess } = await server.ensureInstance();
  if (childProcess) killWhenWeEnd(childProcess);
  return {
    host: ip,
    port,
    async stop() {
      const overdue = setTimeout(() => childProcess?.kill("SIGKILL"), TIME_LIMITS.privateStopMs);
      await server.stop();
      clearTimeout(overdue);
    },
  };
}

/**
 * Kills the child when this process ends, even by SIGKILL: the pipe to a second child closes then. redis-memory-server has
 * a process for this too, but Ctrl-C ends that one before us.
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
