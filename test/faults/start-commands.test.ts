/**
 * Each command that starts the server, with a private Redis. npm, npx and tsx are processes of their own, and so is the
 * shell that npx starts. A signal to the first process must end all of them.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { describe, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { NO_REDIS_ON_DEFAULT_PORTS } from "../demo-process.ts";
import { pathWithRedisServer, REDIS_PROGRAM } from "../redis-program.ts";
import { reservedPort } from "../reserved-port.ts";
import { HANG_LIMIT_MS, until } from "../wait.ts";

const EARLY_MS = 500; // most often before the server listens
const OPTIONS = { timeout: 900_000, concurrency: 2, skip: process.platform === "win32" && "signals are POSIX" };

const START_COMMANDS = {
  "npm start": { command: ["npm", "start", "--silent", "--"], signals: ["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL"] },
  // Without SIGINT: the shell of npx may be dash, which does not pass it on.
  "npx tsx server.ts": { command: ["npx", "tsx", "server.ts"], signals: ["SIGTERM", "SIGHUP", "SIGKILL"] },
} as const;

interface Run {
  /** The first process. Ctrl-C reaches its whole process group. */
  pid: number;
  /** Waits until the server starts its Redis. It has found its parents by then. */
  starting: () => Promise<void>;
  listening: () => Promise<void>;
  /** Command lines of the processes that are left when the first has ended, and the port if it is taken. */
  left: () => Promise<string[]>;
}

async function launch(t: TestContext, [program, ...args]: readonly [string, ...string[]]): Promise<Run> {
  const port = await reservedPort();
  const folder = await mkdtemp(join(tmpdir(), "test-launch-"));
  const redisPids = join(folder, "redis-pids");
  await writeFile(redisPids, "");
  const PATH = await pathWithRedisServer(t, `echo $$ >> ${redisPids}\nexec ${REDIS_PROGRAM} "$@"`);
  const child = spawn(program, [...args, "--port", String(port)], {
    env: { PATH, HOME: process.env["HOME"], ...NO_REDIS_ON_DEFAULT_PORTS },
    stdio: ["ignore", "pipe", "ignore"],
    detached: true,
  });
  const ended = once(child, "exit");
  let stdout = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (stdout += chunk));
  t.after(async () => {
    for (const { pid } of await processesLeft()) process.kill(pid, "SIGKILL");
    await rm(folder, { recursive: true });
  });
  return {
    pid: child.pid!,
    async starting() {
      assert.ok(await until(async () => (await readFile(redisPids, "utf8")) !== ""), "It starts no Redis");
    },
    async listening() {
      assert.ok(await until(() => /^Redis: .+\n/m.test(stdout)), `It does not listen: ${stdout}`);
    },
    async left() {
      await ended;
      const takenPort = (await isFree(port)) ? [] : [`port ${port}`];
      return [...takenPort, ...(await processesLeft()).map(({ command }) => command)];
    },
  };

  /** The processes that have the port in their command line, and those of Redis. */
  async function processesLeft() {
    const ofRedis = new Set((await readFile(redisPids, "utf8")).split("\n"));
    const { stdout: list } = spawnSync("ps", ["-A", "-o", "pid=,stat=,args="], { encoding: "utf8" });
    return Array.from(list.matchAll(/^ *(\d+) +(\S+) +(.*)$/gm), ([, pid = "", state = "", command = ""]) => ({
      pid: Number(pid),
      command,
      isOurs: (command.endsWith(`--port ${port}`) || ofRedis.has(pid)) && !state.startsWith("Z"),
    })).filter(({ isOurs }) => isOurs);
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await once(server.listen(port, "127.0.0.1"), "listening");
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}

async function assertNothingIsLeft({ left }: Run): Promise<void> {
  const start = Date.now();
  let found = await left();
  for (; found.length > 0 && Date.now() - start < HANG_LIMIT_MS; found = await left()) await sleep(200); // `ps` is slow
  assert.deepEqual(found, []);
}

for (const [name, { command, signals }] of Object.entries(START_COMMANDS)) {
  describe(name, OPTIONS, () => {
    for (const signal of signals) {
      test(`${name} leaves nothing behind after ${signal}`, async (t) => {
        const run = await launch(t, command);
        await run.listening();
        process.kill(run.pid, signal);
        await assertNothingIsLeft(run);
      });
    }

    test(`${name} leaves nothing behind after SIGTERM during the start`, async (t) => {
      const run = await launch(t, command);
      await run.starting();
      process.kill(run.pid, "SIGTERM");
      await assertNothingIsLeft(run);
    });

    test(`${name} leaves nothing behind after SIGINT from the terminal, at any time`, async (t) => {
      for (const isReady of [false, true]) {
        const run = await launch(t, command);
        await (isReady ? run.listening() : sleep(EARLY_MS));
        process.kill(-run.pid, "SIGINT");
        await assertNothingIsLeft(run);
      }
    });
  });
}
