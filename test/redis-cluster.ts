import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Lifetime } from "./child-process.ts";
import { type SpawnedRedis, spawnRedis } from "./redis-process.ts";
import { REDIS_CLI } from "./redis-program.ts";
import { reservedPort } from "./reserved-port.ts";
import { HANG_LIMIT_MS, until } from "./wait.ts";

const NODE_TIMEOUT_MS = 2000;

export interface ClusterNode extends SpawnedRedis {
  id: string;
  address: string;
}

/** A Redis Cluster of the test's own, whose nodes keep their ports. Ready when all replicas follow their masters. */
export async function spawnCluster(t: Lifetime, { masters: size = 3, replicas = 1 } = {}) {
  const nodes = await Promise.all(Array.from({ length: size * (1 + replicas) }, () => spawnNode(t)));
  const addresses = nodes.map(({ address }) => address);
  await redisCli("create", ...addresses, "--cluster-replicas", String(replicas), "--cluster-yes");
  assert.ok(await until(isWhole), "The cluster does not form");
  return { nodes, masters, replicaOf, isWhole, reshard, failover, waitUntilReplicated };

  /** Whether all nodes are up, each master has its replicas, and every replica is connected to its master. */
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

  async function findNodes(isWanted: (state: NodeState) => boolean) {
    const running = nodes.filter(({ isRunning }) => isRunning());
    const states = await Promise.all(running.map(stateOf));
    return running.filter((_, i) => isWanted(states[i]!));
  }

  /** Moves this many slots, with the keys in them. */
  async function reshard(from: ClusterNode, to: ClusterNode, slots: number): Promise<void> {
    const doNodesAgree = () => redisCli("check", from.address).then(Boolean, () => false);
    assert.ok(await until(doNodesAgree), "The nodes do not agree on who has which slots");
    const options = ["--cluster-from", from.id, "--cluster-to", to.id, "--cluster-slots", String(slots)];
    await redisCli("reshard", from.address, ...options, "--cluster-yes");
  }

  /** Waits until every replica has all writes that its master has had before this call. */
  async function waitUntilReplicated(): Promise<void> {
    await Promise.all(
      (await masters()).map(async (master) => {
        const [replica, { offset }] = await Promise.all([replicaOf(master), stateOf(master)]);
        assert.ok(await until(async () => (await stateOf(replica)).offset >= offset), "A replica lags behind");
      }),
    );
  }
}

/** Lets a replica take over from its master, which first hands over all its writes. */
async function failover(replica: ClusterNode): Promise<void> {
  await replica.send("CLUSTER", "FAILOVER");
  assert.ok(await until(async () => (await stateOf(replica)).isMaster), "The replica does not take over");
}

async function spawnNode(t: Lifetime): Promise<ClusterNode> {
  const busPort = String(await reservedPort());
  const options = ["--cluster-enabled", "yes", "--cluster-port", busPort, "--repl-diskless-sync-delay", "0"];
  const redis = await spawnRedis(t, [...options, "--cluster-node-timeout", String(NODE_TIMEOUT_MS)]);
  const id = String(await redis.send("CLUSTER", "MYID"));
  return { ...redis, id, address: `127.0.0.1:${redis.port}` };
}

interface NodeState {
  isOk: boolean;
  isMaster: boolean;
  replicas: number;
  isLinked: boolean;
  masterPort: number;
  offset: number;
}

/** What a node reports about itself. */
async function stateOf({ send }: ClusterNode): Promise<NodeState> {
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
  promisify(execFile)(REDIS_CLI, ["--cluster", ...args], { timeout: HANG_LIMIT_MS, maxBuffer: 2 ** 26 });
