import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createClient } from "redis";
import type { Lifetime } from "./child-process.ts";
import { type SpawnedRedis, spawnRedis, spawnRedisServer } from "./redis-process.ts";
import { HANG_LIMIT_MS, until } from "./wait.ts";

const NAME = "mymaster";
const DOWN_AFTER_MS = 2000; // on a busy machine a live master may not reply for a second

export type SentinelNode = SpawnedRedis;

export interface Sentinel extends SpawnedRedis {
  /** The port of the master that this Sentinel reports. */
  masterPort: () => Promise<number>;
}

export interface SpawnedSentinels {
  name: string;
  nodes: SentinelNode[];
  sentinels: Sentinel[];
  master: () => Promise<SentinelNode | undefined>;
  follow: (node: SentinelNode) => Promise<boolean>;
  start: (node: SentinelNode) => Promise<void>;
  waitUntilReplicated: () => Promise<void>;
}

/**
 * A master, two replicas and three Sentinels of the test's own, which keep their ports. Ready when the Sentinels know
 * all of them. A Sentinel that was hung does nothing for half a minute afterwards: a test that hangs one spawns new ones.
 */
export async function spawnSentinels(t: Lifetime, { downAfter = DOWN_AFTER_MS } = {}): Promise<SpawnedSentinels> {
  const nodes = await Promise.all(Array.from({ length: 3 }, () => spawnNode(t)));
  const [first, ...replicas] = nodes as [SentinelNode, ...SentinelNode[]];
  await Promise.all(replicas.map(({ send }) => send("REPLICAOF", "127.0.0.1", String(first.port))));
  assert.ok(await until(() => follow(first)), "The replicas do not follow their master");
  const sentinels = await Promise.all(Array.from({ length: 3 }, () => spawnSentinel(t, first.port, { downAfter })));
  assert.ok(await until(knowEachOther), "The Sentinels do not find each other");
  return { name: NAME, nodes, sentinels, master, follow, start, waitUntilReplicated };

  /** The master on which all running Sentinels agree; undefined if they do not agree. */
  async function master(): Promise<SentinelNode | undefined> {
    const running = sentinels.filter(({ isRunning }) => isRunning());
    const ports = await Promise.all(running.map(({ masterPort }) => masterPort()));
    return new Set(ports).size === 1 ? nodes.find(({ port }) => port === ports[0]) : undefined;
  }

  /** Whether all other running servers replicate this one and are connected to it. */
  async function follow({ port }: SentinelNode): Promise<boolean> {
    const others = nodes.filter((node) => node.port !== port && node.isRunning());
    const states = await Promise.all(others.map((node) => stateOf(node).catch(() => undefined))); // a new role disconnects
    return states.every((state) => state?.masterPort === port && state.isLinked);
  }

  /** Starts a killed server again as a replica: as a master it would come back empty, and its replicas with it. */
  async function start(node: SentinelNode): Promise<void> {
    const current = await master();
    assert.ok(current && current !== node, "Another one must be the master first");
    await node.start(["--replicaof", "127.0.0.1", String(current.port)]);
  }

  /** Waits until both replicas have all writes that the master has had before this call. */
  async function waitUntilReplicated(): Promise<void> {
    const { port } = (await master())!;
    const client = await createClient({ socket: { host: "127.0.0.1", port } }).connect();
    try {
      await client.set("replicated", "yet?"); // WAIT counts from the last command of its own connection
      assert.equal(await client.wait(2, HANG_LIMIT_MS), 2);
    } finally {
      client.destroy();
    }
  }

  async function knowEachOther(): Promise<boolean> {
    const knowledge = await Promise.all(sentinels.map(({ send }) => send("SENTINEL", "MASTER", NAME)));
    return (knowledge as Record<string, string>[]).every(
      (known) => known["num-other-sentinels"] === "2" && known["num-slaves"] === "2" && known["flags"] === "master",
    );
  }
}

const spawnNode = (t: Lifetime) => spawnRedis(t, ["--repl-diskless-sync-delay", "0"]);

/** What a server reports about itself. */
async function stateOf({ send }: SentinelNode) {
  const info = String(await send("INFO", "replication"));
  return {
    isLinked: info.includes("master_link_status:up"),
    masterPort: Number(/^master_port:(\d+)/m.exec(info)?.[1]),
  };
}

/** A Sentinel of the test's own that monitors this master. `more` are further lines of its configuration. */
export async function spawnSentinel(
  t: Lifetime,
  master: number,
  { downAfter = DOWN_AFTER_MS, more = [] }: { downAfter?: number; more?: string[] } = {},
): Promise<Sentinel> {
  const sentinel = await spawnRedisServer(t, async (port, folder) => {
    const configuration = join(folder, "sentinel.conf");
    const lines = [
      `port ${port}`,
      "bind 127.0.0.1",
      `dir ${folder}`,
      `sentinel monitor ${NAME} 127.0.0.1 ${master} 2`,
      `sentinel down-after-milliseconds ${NAME} ${downAfter}`,
      `sentinel failover-timeout ${NAME} 5000`,
      `sentinel parallel-syncs ${NAME} 2`,
      ...more,
    ];
    await writeFile(configuration, `${lines.join("\n")}\n`);
    return [configuration, "--sentinel"];
  });
  return { ...sentinel, masterPort };

  async function masterPort() {
    const [, port] = (await sentinel.send("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)) as [string, string];
    return Number(port);
  }
}
