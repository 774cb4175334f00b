import { setMaxListeners } from "node:events";
import { createCluster, type RedisClientType } from "redis";
import {
  clientOptions,
  closeClients,
  type RedisAccess,
  type RedisConnection,
  type RedisServer,
  withConnectLimit,
} from "./single.ts";

const NO_MASTER = "some slots of the cluster have no master";
const NOT_CONNECTED = "a master of the cluster is not connected";

/**
 * The cluster that `node` belongs to. node-redis follows slots that move from master to master. After the loss of a master
 * the connection is replaced by one that reaches a master for every slot; until there is one, it serves the others.
 * `known` are the nodes to ask for the cluster's state.
 */
export async function connectCluster(
  node: RedisServer,
  access: RedisAccess,
  known: RedisServer[] = [node],
): Promise<RedisConnection> {
  const attempt = new AbortController();
  setMaxListeners(0, attempt.signal); // one for each socket
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
    throw lastError ?? error; // node-redis' own says only that no node could be used
  }
  delete socketOptions.signal; // a signal would hold on to every socket that is opened and closed from now on

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

  /** Masters that are connected know how the cluster is. Without any, every node is worth a try. */
  function knownNodes(): RedisServer[] {
    const connected = cluster.masters.filter(({ client }) => client?.isReady);
    const nodes = connected.length > 0 ? connected : [...cluster.masters, node];
    return nodes.map(({ host, port }) => ({ host, port }));
  }
}
