import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "redis";
import type { Lifetime } from "./child-process.ts";
import { askRedis, type SpawnedRedis, spawnRedis } from "./redis-process.ts";
import { reservedPort } from "./reserved-port.ts";
import { until } from "./wait.ts";

const NAME = "mymaster";
const DOWN_AFTER_MS = 2000; // a busy machine may well keep a live master from answering for one second
const READY_LIMIT_MS = 30_000;

export type SentinelNode = Awaited<ReturnType<typeof spawnNode>>;

/**
 * A master, two replicas and three Sentinels of the test's own, on ports that stay theirs, ready when the Sentinels know
 * all of them. A Sentinel that was hung does nothing for half a minute afterwards: a test that hangs one takes new ones.
 */
export async function spawnSentinels(t: Lifetime, { downAfter = DOWN_AFTER_MS } = {}) {
  const nodes = await Promise.all(Array.from({ length: 3 }, () => spawnNode(t)));
  const [first, ...replicas] = nodes as [SentinelNode, ...SentinelNode[]];
  await Promise.all(replicas.map(({ send }) => send("REPLICAOF", "127.0.0.1", String(first.port))));
  assert.ok(await until(() => follow(first), READY_LIMIT_MS), "The replicas do not follow their master");
  const sentinels = await Promise.all(Array.from({ length: 3 }, () => spawnSentinel(t, first.port, { downAfter })));
  assert.ok(await until(areInTouch, READY_LIMIT_MS), "The Sentinels do not find each other");
  return { name: NAME, nodes, sentinels, master, follow, start, waitUntilReplicated };

  /** Whoever the Sentinels that can be asked agree upon; undefined where they do not. */
  async function master(): Promise<SentinelNode | undefined> {
    const asked = sentinels.filter(({ isRunning }) => isRunning());
    const ports = await Promise.all(asked.map(({ masterPort }) => masterPort()));
    return new Set(ports).size === 1 ? nodes.find(({ port }) => port === ports[0]) : undefined;
  }

  /** Whether all the others that run are its replicas, and have what it had when they became so. */
  async function follow({ port }: SentinelNode): Promise<boolean> {
    const others = nodes.filter((node) => node.port !== port && node.isRunning());
    const states = await Promise.all(others.map((node) => stateOf(node).catch(() => undefined))); // cut off as it changes
    return states.every((state) => state?.masterPort === port && state.isLinked);
  }

  /** Starts a server that was killed, never as the master: it would come back empty, and its replicas after it. */
  async function start(node: SentinelNode): Promise<void> {
    const current = await master();
    assert.ok(current && current !== node, "Another one must be the master first");
    await node.start(["--replicaof", "127.0.0.1", String(current.port)]);
  }

  /** Both replicas have what the master had when this was asked. */
  async function waitUntilReplicated(): Promise<void> {
    const { port } = (await master())!;
    const client = await createClient({ socket: { host: "127.0.0.1", port } }).connect();
    try {
      await client.set("replicated", "yet?"); // WAIT counts from the connection's own last command
      assert.equal(await client.wait(2, READY_LIMIT_MS), 2);
    } finally {
      client.destroy();
    }
  }

  async function areInTouch(): Promise<boolean> {
    const knowledge = await Promise.all(sentinels.map(({ send }) => send("SENTINEL", "MASTER", NAME)));
    return (knowledge as Record<string, string>[]).every(
      (known) => known["num-other-sentinels"] === "2" && known["num-slaves"] === "2" && known["flags"] === "master",
    );
  }
}

const spawnNode = async (t: Lifetime) => inView(t, await spawnRedis(t, ["--repl-diskless-sync-delay", "0"]));

/** What a server says of itself. */
async function stateOf({ send }: SentinelNode) {
  const info = String(await send("INFO", "replication"));
  return {
    isLinked: info.includes("master_link_status:up"),
    masterPort: Number(/^master_port:(\d+)/m.exec(info)?.[1]),
  };
}

/** A Sentinel of this master, alone where nobody else watches it. `more` are lines of its configuration. */
export async function spawnSentinel(
  t: Lifetime,
  masterPort: number,
  { downAfter = DOWN_AFTER_MS, more = [] }: { downAfter?: number; more?: string[] } = {},
) {
  const port = await reservedPort();
  const folder = await mkdtemp(join(tmpdir(), "test-sentinel-"));
  const configuration = join(folder, "sentinel.conf");
  const lines = [
    `port ${port}`,
    "bind 127.0.0.1",
    `dir ${folder}`,
    `sentinel monitor ${NAME} 127.0.0.1 ${masterPort} 2`,
    `sentinel down-after-milliseconds ${NAME} ${downAfter}`,
    `sentinel failover-timeout ${NAME} 5000`,
    `sentinel parallel-syncs ${NAME} 2`,
    ...more,
  ];
  await writeFile(configuration, `${lines.join("\n")}\n`);
  let child = run();
  t.after(async () => {
    await kill();
    await rm(folder, { recursive: true });
  });
  const send = (...command: string[]) => askRedis(port, ...command);
  await ready();
  const hang = () => child.kill("SIGSTOP");
  const resume = () => child.kill("SIGCONT");
  const sentinel = await inView(t, { port, send, kill, start, hang, resume });
  return { ...sentinel, masterPort: askForMaster };

  function run() {
    return spawn("redis-server", [configuration, "--sentinel"], { stdio: "ignore" });
  }

  async function kill() {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  async function start() {
    child = run();
    await ready();
  }

  async function ready() {
    const isUp = await until(async () => (await send("PING").catch(() => "")) === "PONG", READY_LIMIT_MS);
    assert.ok(isUp, `The Sentinel does not answer on port ${port}`);
  }

  async function askForMaster() {
    const [, answer] = (await send("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)) as [string, string];
    return Number(answer);
  }
}

/** Keeps account of whether it can be asked, and ends it when this process is gone, however that came about. */
async function inView(t: Lifetime, redis: SpawnedRedis) {
  let isRunning = true;
  let guard = await endWithUs(redis);
  t.after(() => guard.kill());
  return {
    ...redis,
    isRunning: () => isRunning,
    async kill() {
      isRunning = false;
      await redis.kill();
      guard.kill();
    },
    hang() {
      isRunning = false;
      redis.hang();
    },
    resume() {
      isRunning = redis.resume();
    },
    async start(args: string[] = []) {
      await redis.start(args);
      guard = await endWithUs(redis);
      isRunning = true;
    },
  };
}

/** Its input ends with this process. */
async function endWithUs({ send }: SpawnedRedis) {
  const pid = /process_id:(\d+)/.exec(String(await send("INFO", "server")))![1]!;
  const guard = spawn("sh", ["-c", 'read -r _; kill -9 "$0"', pid], { stdio: ["pipe", "ignore", "ignore"] });
  guard.unref();
  (guard.stdin as unknown as { unref: () => void }).unref();
  return guard;
}
