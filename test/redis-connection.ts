import { after } from "node:test";
import { createClient, createCluster, type RedisClientType } from "redis";
import { startPrivateRedis } from "../demo/process/private-redis.ts";
import { connectRedis, type RedisConnection } from "../redis-connection/index.ts";
import { spawnCluster } from "./redis-cluster.ts";
import { REDIS_PROGRAM } from "./redis-program.ts";
import { until } from "./wait.ts";

/** `cluster`: three masters and three replicas. */
const IS_CLUSTER = process.env["TEST_SERVER"] === "cluster";

/** What the tests ask of Redis, be it one server or a cluster. */
export type Client = RedisClientType & { servers: () => RedisClientType[] };
type User = { username?: string; password?: string };

/** A Redis for the test file that asks for it, stopped when its tests are done. The first client is connected. */
export const openRedis = () => (IS_CLUSTER ? openCluster() : openServer());

/** One server, also where the tests run on a cluster: for what is done to a server by itself. */
export async function openServer() {
  const server = await startPrivateRedis(undefined, [REDIS_PROGRAM]);
  return open(server, false, async (user) => {
    const client = await connectToServer(server, user);
    return Object.assign(client, { servers: () => [client] });
  });
}

async function openCluster() {
  const { nodes } = await spawnCluster({ after });
  const node = { host: "127.0.0.1", port: nodes[0]!.port, stop: () => {} };
  return open(node, true, (user) => connectToCluster(node, user));
}

/** Runs the action while Redis runs no script and no write. With `ALL`, the UNPAUSE would have to wait as well. */
export async function whilePaused<Result>(redis: Client, action: () => Promise<Result>): Promise<Result> {
  await Promise.all(redis.servers().map((server) => server.sendCommand(["CLIENT", "PAUSE", "60000", "WRITE"])));
  try {
    return await action();
  } finally {
    await Promise.all(redis.servers().map((server) => server.sendCommand(["CLIENT", "UNPAUSE"])));
  }
}

/** Connects as an application does. A busy machine may need more than the two seconds of one attempt. */
export async function connectPatiently(...how: Parameters<typeof connectRedis>) {
  let redis: RedisConnection | undefined;
  let failure: unknown;
  const isConnected = async () => {
    redis = await connectRedis(...how).catch((error: unknown) => void (failure = error));
    return redis !== undefined;
  };
  if (!(await until(isConnected))) throw failure;
  return redis!;
}

interface Address {
  host: string;
  port: number;
}

async function open(
  { host, port, stop }: Address & { stop: () => unknown },
  isCluster: boolean,
  connectAs: (user?: User) => Promise<Client>,
) {
  const clients: Client[] = [];
  const connect = async (user?: User) => {
    const client = await connectAs(user);
    clients.push(client);
    return client;
  };
  after(async () => {
    for (const client of clients) client.destroy();
    await stop();
  });
  return { host, port, isCluster, redis: await connect(), connect };
}

const OPTIONS = { commandOptions: { timeout: 0 }, disableOfflineQueue: true };
const ignore = () => {}; // each command that fails says so itself

function connectToServer({ host, port }: Address, user: User = {}) {
  return createClient({ ...OPTIONS, ...user, socket: { host, port } })
    .on("error", ignore)
    .connect();
}

/** A client for a single server has `scanIterator` too; all else that the tests call, a cluster's has by itself. */
async function connectToCluster({ host, port }: Address, user: User = {}): Promise<Client> {
  const defaults = { ...OPTIONS, ...user };
  const cluster = createCluster({ rootNodes: [{ socket: { host, port } }], defaults, ...OPTIONS }).on("error", ignore);
  await cluster.connect();
  const servers = () => cluster.masters.map(({ client }) => client as RedisClientType);
  async function* scanIterator(options?: Parameters<RedisClientType["scanIterator"]>[0]) {
    for (const server of servers()) yield* server.scanIterator(options);
  }
  return Object.assign(cluster, { servers, scanIterator }) as unknown as Client;
}
