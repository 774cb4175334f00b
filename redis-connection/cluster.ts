import { setMaxListeners } from "node:events";
import { createCluster, type RedisClientType } from "redis";
import { clientOptions, closeClients, withConnectLimit } from "./client.ts";
import type { OpenConnection } from "./open-connection.ts";
import type { RedisAccess, RedisServer } from "./target.ts";
import { REDIS_TIME_LIMITS } from "./time-limits.ts";

const NO_MASTER = "some slots of the cluster have no master";
const NOT_CONNECTED = "a master of the cluster is not connected";

/**
 * For the sockets that node-redis opens when slots have moved, with the options of the cluster or of the node that told it.
 * The signal would keep each in memory, even a closed one. Without a limit, one without a reply would stay open, and
 * commands that wait for the new map with it. The checks send often enough to keep the other sockets open.
 */
const LATER_SOCKETS = {
  signal: undefined,
  connectTimeout: REDIS_TIME_LIMITS.connectMs,
  socketTimeout: REDIS_TIME_LIMITS.connectMs,
};

/**
 * Connects to every master of the cluster that `nodes` belong to. node-redis follows slots that move to another master.
 * When a master is lost, a new connection replaces this one as soon as every slot has a master again; until then this one
 * serves the other masters' slots. `known` are the nodes that are asked for the state of the cluster.
 */
export async function connectCluster(
  nodes: RedisServer[],
  access: RedisAccess,
  signal: AbortSignal,
  known: RedisServer[] = nodes,
): Promise<OpenConnection> {
  let lastError: unknown;
  const keepError = (error: unknown) => (lastError = error);
  const cluster = await withConnectLimit(signal, async (attempt) => {
    setMaxListeners(0, attempt); // each socket adds a listener
    const { commandOptions, ...defaults } = clientOptions(access, attempt);
    const connecting = createCluster({ rootNodes: known.map((socket) => ({ socket })), defaults, commandOptions });
    attempt.addEventListener("abort", () => connecting.destroy());
    connecting.on("error", keepError).on("node-error", keepError);
    try {
      await connecting.connect();
    } catch (error) {
      throw lastError ?? error; // node-redis' own error says only that no node could be used
    }
    if ((connecting.slots as unknown[]).includes(undefined)) throw new Error(NO_MASTER);
    const ofMasters = connecting.masters.flatMap(({ client }) => client?.options ?? []);
    for (const { socket } of [defaults, ...ofMasters]) Object.assign(socket!, LATER_SOCKETS);
    return connecting;
  });

  return {
    commands: cluster,
    clients: () => clients().filter(({ isReady }) => isReady),
    problem,
    reconnect: (nextSignal) => connectCluster(nodes, access, nextSignal, knownNodes()),
    close: () => closeClients(clients(), cluster.close()),
  };

  function clients(): RedisClientType[] {
    return cluster.masters.flatMap(({ client }) => client ?? []);
  }

  function problem(): unknown {
    if ((cluster.slots as unknown[]).includes(undefined)) return new Error(NO_MASTER);
    const isConnected = cluster.masters.every(({ client }) => client?.isReady);
    return isConnected ? undefined : (lastError ?? new Error(NOT_CONNECTED));
  }

  /** Only masters that are connected are sure to know the state of the cluster. If there is none, any node may know it. */
  function knownNodes(): RedisServer[] {
    const connected = cluster.masters.filter(({ client }) => client?.isReady);
    const candidates = connected.length > 0 ? connected : [...cluster.masters, ...nodes];
    return candidates.map(({ host, port }) => ({ host, port }));
  }
}
