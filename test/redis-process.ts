import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "redis";
import { killAtExit, type Lifetime } from "./child-process.ts";
import { reservedPort } from "./reserved-port.ts";
import { until } from "./wait.ts";

const READY_LIMIT_MS = 10_000;

export interface SpawnedRedis {
  port: number;
  /** Runs a command on a connection of its own. */
  send: (...command: string[]) => Promise<unknown>;
  kill: () => Promise<void>;
  /** Starts it again with more options, and resolves when it replies. */
  start: (more?: string[]) => Promise<void>;
  hang: () => boolean;
  resume: () => boolean;
}

/** A redis-server of the test's own, to hang, to kill and to start again on the same port. */
export async function spawnRedis(t: Lifetime, args: string[] = []): Promise<SpawnedRedis> {
  const port = await reservedPort();
  const folder = await mkdtemp(join(tmpdir(), "test-redis-"));
  let child = run();
  const send = (...command: string[]) => askRedis(port, ...command);
  t.after(async () => {
    await kill();
    await rm(folder, { recursive: true });
  });
  await ready();
  return { port, send, kill, start, hang: () => child.kill("SIGSTOP"), resume: () => child.kill("SIGCONT") };

  function run(more: string[] = []) {
    const options = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder, ...args, ...more];
    return killAtExit(spawn("redis-server", options, { stdio: "ignore" }));
  }

  async function kill() {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  async function start(more: string[] = []) {
    child = run(more);
    await ready();
  }

  async function ready() {
    const isUp = await until(async () => (await send("PING").catch(() => "")) === "PONG", READY_LIMIT_MS);
    assert.ok(isUp, `redis-server does not reply on port ${port}`);
  }
}

/** Runs a Redis command on a connection of its own. */
export async function askRedis(port: number, ...command: string[]): Promise<unknown> {
  const client = createClient({ socket: { host: "127.0.0.1", port, reconnectStrategy: false } });
  client.on("error", () => {}); // the command rejects with the same error
  try {
    return await (await client.connect()).sendCommand(command);
  } finally {
    client.destroy();
  }
}
