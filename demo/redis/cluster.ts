import { setMaxListeners } from "node:events";
import { createCluster, type RedisClientType } from "redis";
import { clientOptions, closeClients, withConnectLimit } from "./client.ts";
import type { RedisConnection } from "./connection.ts";
import type { RedisAccess, RedisServer } from "./target.ts";

const NO_MASTER = "some slots of the cluster have no master";
const NOT_CONNECTED = "a master of the cluster is not connected";

/**
 * Connects to every master of the cluster that `node` belongs to. node-redis follows slots that move to another master.
 * When a master is lost, a new connection replaces this one as soon as every slot has a master again; until then this one
 * serves the other masters' slots. `known` are the nodes that are asked for the state of the cluster.
 */
export async function connectCluster(
  node: RedisServer,
  access: RedisAccess,
  known: RedisServer[] = [node],
): Promise<RedisConnection> {
  const attempt = new AbortController();
  setMaxListeners(0, attempt.signal); // each socket adds a listener
  const { commandOptions, ...defaults } = clientOptions(access, attempt.signal);
  const socketOptions: { signal?: AbortSignal } = defaults.socket;
  const cluster = createCluster({ rootNodes: known.map((socket) => ({ socket })), defaults, commandOptions });
  let lastError: unknown;
  const keepError = (error: unknown) => (lastError = error);
  cluster.on("error", keepError).on("node-error", keepError);
  try {
    await withConnectLimit(cluster.connect());
    if (!hasAllSlots()) throw (lastError = new Error(NO_MASTER));
  } catch (error) {
    attempt.abort();
    cluster.destroy();
    throw lastError ?? error; // node-redis' own error says only that no node could be used
  }
  delete socketOptions.signal; // it would keep each later socket in memory, even a closed one

  return {
    commands: cluster,
    clients: () => clients().filter(({ isReady }) => isReady),
    problem,
    reconnect: () => connectCluster(node, access, knownNodes()),
    close: () => closeClients(clients(), cluster.close()),
  };

  function clients(): RedisClientType[] {
    return cluster.masters.flatMap(({ client }) => client ?? []);
  }

  function hasAllSlots(): boolean {
    return !(cluster.slots as unknown[]).includes(undefined);
  }

  function problem(): unknown {
    if (!hasAllSlots()) return new Error(NO_MASTER);
    const isConnected = cluster.masters.every(({ client }) => client?.isReady);
    return isConnected ? undefined : (lastError ?? new Error(NOT_CONNECTED));
  }

  /** Only masters that are connected are sure to know the state of the cluster. If there is none, any node may know it. */
  function knownNodes(): RedisServer[] {
    const connected = cluster.masters.filter(({ client }) => client?.isReady);
    const nodes = connected.length > 0 ? connected : [...cluster.masters, node];
    return nodes.map(({ host, port }) => ({ host, port }));
  }
}
