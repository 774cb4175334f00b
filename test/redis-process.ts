import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "redis";
import { killAtExit, type Lifetime } from "./child-process.ts";
import { REDIS_PROGRAM } from "./redis-program.ts";
import { reservedPort } from "./reserved-port.ts";
import { HANG_LIMIT_MS, until } from "./wait.ts";

/**
 * Options of a Redis that keeps its data when it is killed: it writes to its file before each reply. It does not wait for
 * the disk, which can take more than a second on a busy machine, because the machine goes on.
 */
export const DURABLE = ["--appendonly", "yes", "--appendfsync", "no"];

/** A Redis or Valkey of the test's own, to hang, to kill and to start again on the same port. */
export interface SpawnedRedis {
  port: number;
  /** Runs a command on a connection of its own. */
  send: (...command: string[]) => Promise<unknown>;
  isRunning: () => boolean;
  kill: () => Promise<void>;
  /** Starts it again with more options, and resolves when it replies. */
  start: (more?: string[]) => Promise<void>;
  hang: () => void;
  resume: () => void;
}

export function spawnRedis(t: Lifetime, options: string[] = []): Promise<SpawnedRedis> {
  return spawnRedisServer(t, (port, folder) => {
    return ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder, ...options];
  });
}

/** Runs the server with the arguments that the function returns for a free port and an empty folder. */
export async function spawnRedisServer(
  t: Lifetime,
  argumentsFor: (port: number, folder: string) => string[] | Promise<string[]>,
): Promise<SpawnedRedis> {
  const port = await reservedPort();
  const folder = await mkdtemp(join(tmpdir(), "test-redis-"));
  const args = await argumentsFor(port, folder);
  let child = run();
  let isRunning = true;
  t.after(async () => {
    await kill();
    await rm(folder, { recursive: true });
  });
  await ready();
  return { port, send, isRunning: () => isRunning, kill, start, hang, resume };

  function run(more: string[] = []) {
    return killAtExit(spawn(REDIS_PROGRAM, [...args, ...more], { stdio: "ignore" }));
  }

  function send(...command: string[]) {
    return askRedis(port, ...command);
  }

  async function kill() {
    isRunning = false;
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  async function start(more: string[] = []) {
    child = run(more);
    await ready();
    isRunning = true;
  }

  async function ready() {
    const isUp = await until(async () => (await send("PING").catch(() => "")) === "PONG");
    assert.ok(isUp, `${REDIS_PROGRAM} does not reply on port ${port}`);
  }

  function hang() {
    isRunning = false;
    child.kill("SIGSTOP");
  }

  function resume() {
    isRunning = true;
    child.kill("SIGCONT");
  }
}

/** Runs a Redis command on a connection of its own. */
export async function askRedis(port: number, ...command: string[]): Promise<unknown> {
  const client = createClient({
    socket: { host: "127.0.0.1", port, reconnectStrategy: false, connectTimeout: HANG_LIMIT_MS },
  });
  client.on("error", () => {}); // the command rejects with the same error
  try {
    return await (await client.connect()).sendCommand(command);
  } finally {
    client.destroy();
  }
}
