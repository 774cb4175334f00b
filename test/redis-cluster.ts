import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Lifetime } from "./child-process.ts";
import { spawnRedis } from "./redis-process.ts";
import { reservedPort } from "./reserved-port.ts";
import { until } from "./wait.ts";

const NODE_TIMEOUT_MS = 2000;
const READY_LIMIT_MS = 30_000;
const RESHARD_LIMIT_MS = 60_000;

export type ClusterNode = Awaited<ReturnType<typeof spawnNode>>;

/** A Redis Cluster of the test's own, on the ports that its nodes keep, ready when all replicas follow their masters. */
export async function spawnCluster(t: Lifetime, { masters: size = 3, replicas = 1 } = {}) {
  const nodes = await Promise.all(Array.from({ length: size * (1 + replicas) }, () => spawnNode(t)));
  const addresses = nodes.map(({ address }) => address);
  await redisCli("create", ...addresses, "--cluster-replicas", String(replicas), "--cluster-yes");
  assert.ok(await until(isWhole, READY_LIMIT_MS), "The cluster does not come about");
  return { nodes, masters, replicaOf, isWhole, reshard, failover, waitUntilReplicated };

  /** Every node has its office, and every replica all that its master has had so far. */
  async function isWhole(): Promise<boolean> {
    const states = await Promise.all(nodes.map(stateOf)).catch(() => []); // one may still be loading
    const isWell = states.every((node) => node.isOk && (node.isMaster ? node.replicas === replicas : node.isLinked));
    return isWell && states.filter(({ isMaster }) => isMaster).length === size;
  }

  function masters(): Promise<ClusterNode[]> {
    return findNodes(({ isMaster }) => isMaster);
  }

  async function replicaOf(master: ClusterNode): Promise<ClusterNode> {
    const [replica] = await findNodes(({ masterPort }) => masterPort === master.port);
    assert.ok(replica, `No node replicates ${master.address}`);
    return replica;
  }

  async function findNodes(isSought: (state: Awaited<ReturnType<typeof stateOf>>) => boolean) {
    const answering = nodes.filter(({ isRunning }) => isRunning());
    const states = await Promise.all(answering.map(stateOf));
    return answering.filter((_, i) => isSought(states[i]!));
  }

  /** Moves so many slots, with all that is in them. */
  async function reshard(from: ClusterNode, to: ClusterNode, slots: number): Promise<void> {
    const isAgreed = () => redisCli("check", from.address).then(Boolean, () => false);
    assert.ok(await until(isAgreed, READY_LIMIT_MS), "The nodes do not agree on who has which slots");
    const options = ["--cluster-from", from.id, "--cluster-to", to.id, "--cluster-slots", String(slots)];
    await redisCli("reshard", from.address, ...options, "--cluster-yes");
  }

  /** Every replica has what its master had when this was asked. */
  async function waitUntilReplicated(): Promise<void> {
    await Promise.all(
      (await masters()).map(async (master) => {
        const [replica, { offset }] = await Promise.all([replicaOf(master), stateOf(master)]);
        assert.ok(await until(async () => (await stateOf(replica)).offset >= offset), "A replica lags behind");
      }),
    );
  }
}

/** Lets a replica take over from its master, which hands over all that it has. */
async function failover(replica: ClusterNode): Promise<void> {
  await replica.send("CLUSTER", "FAILOVER");
  assert.ok(await until(async () => (await stateOf(replica)).isMaster), "The replica does not take over");
}

async function spawnNode(t: Lifetime) {
  const busPort = String(await reservedPort());
  const options = ["--cluster-enabled", "yes", "--cluster-port", busPort, "--repl-diskless-sync-delay", "0"];
  const redis = await spawnRedis(t, [...options, "--cluster-node-timeout", String(NODE_TIMEOUT_MS)]);
  const id = String(await redis.send("CLUSTER", "MYID"));
  let isRunning = true;
  const down =
    <Result>(end: () => Result) =>
    (): Result => {
      isRunning = false;
      return end();
    };
  return {
    ...redis,
    id,
    address: `127.0.0.1:${redis.port}`,
    isRunning: () => isRunning,
    kill: down(redis.kill),
    hang: down(redis.hang),
    async start() {
      await redis.start();
      isRunning = true;
    },
    resume() {
      redis.resume();
      isRunning = true;
    },
  };
}

/** What a node says of itself. */
async function stateOf({ send }: ClusterNode) {
  const [info, replication] = (await Promise.all([send("CLUSTER", "INFO"), send("INFO", "replication")])).map(String);
  const value = (name: string) => new RegExp(`^${name}:(.*)\\r$`, "m").exec(replication!)?.[1];
  return {
    isOk: info!.includes("cluster_state:ok"),
    isMaster: value("role") === "master",
    replicas: Number(value("connected_slaves")),
    isLinked: value("master_link_status") === "up",
    masterPort: Number(value("master_port")),
    offset: Number(value("slave_repl_offset") ?? value("master_repl_offset")),
  };
}

const redisCli = (...args: string[]) =>
  promisify(execFile)("redis-cli", ["--cluster", ...args], { timeout: RESHARD_LIMIT_MS, maxBuffer: 2 ** 26 });
