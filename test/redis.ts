import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after } from "node:test";
import { createClient, createCluster } from "redis";
import { startPrivateRedis } from "../demo/redis/private.ts";
import { RedisSessionStore, type RedisSessionStoreOptions } from "../session-store.ts";
import { spawnCluster } from "./scale/redis-cluster.ts";

/** Set to have the tests run on `valkey-server`, or, where it is `cluster`, on three masters and three replicas. */
const { TEST_SERVER } = process.env;
const IS_CLUSTER = TEST_SERVER === "cluster";
const PROGRAMS = TEST_SERVER === undefined || IS_CLUSTER ? undefined : [TEST_SERVER];

/** What the tests ask of Redis, be it one server or a cluster. */
export type Client = Master & { servers: () => Master[] };
type Master = Awaited<ReturnType<typeof connectToServer>>;
type User = { username?: string; password?: string };

/** A Redis for the test file that asks for it, stopped when its tests are done. The first client is connected. */
export const openRedis = () => (IS_CLUSTER ? openCluster() : openServer());

/** One server, also where the tests run on a cluster: for what is done to a server by itself. */
export async function openServer() {
  const server = await startPrivateRedis(undefined, PROGRAMS);
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
  const servers = () => cluster.masters.map(({ client }) => client as Master);
  async function* scanIterator(options?: Parameters<Master["scanIterator"]>[0]) {
    for (const server of servers()) yield* server.scanIterator(options);
  }
  return Object.assign(cluster, { servers, scanIterator }) as unknown as Client;
}

/** A store of the test's own keys, every operation of which is followed by `assertExpiries`. */
export function openStore(redis: Client, { prefix = newPrefix(), ...options }: Partial<RedisSessionStoreOptions> = {}) {
  const { absoluteTtl = 2_592_000 } = options;
  const plain = new RedisSessionStore({ redis, prefix, ...options });
  const store = new Proxy(plain, {
    get:
      (_, operation: keyof RedisSessionStore) =>
      async (...args: never[]) => {
        try {
          return await (plain[operation] as (...input: never[]) => Promise<unknown>)(...args);
        } finally {
          await assertExpiries(redis, prefix, absoluteTtl);
        }
      },
  });
  return { store, plain, prefix, key: (id: string) => prefix + id };
}

export const newPrefix = () => `test:${randomUUID()}:`;

/** No key without an expiry, and none that outlives its absolute deadline. */
export async function assertExpiries(redis: Client, prefix: string, absoluteTtl: number): Promise<void> {
  for await (const keys of redis.scanIterator({ MATCH: `${prefix}*`, COUNT: 10_000 })) {
    for (const key of keys) {
      const [expiry, createdAt] = await Promise.all([
        redis.pExpireTime(key),
        redis.hGet(key, "created_at").catch(() => null),
      ]);
      assert.notEqual(expiry, -1, `${key} has no expiry`);
      const deadline = Date.parse(createdAt ?? "") + absoluteTtl * 1000;
      assert.ok(!(expiry > deadline), `${key} outlives its absolute deadline by ${expiry - deadline} ms`);
    }
  }
}

/** Leaves a session as if nobody had used it until so many seconds were left. */
export const neglect = (redis: Client, key: string, secondsLeft: number) =>
  redis.multi().hSet(key, "last_accessed_at", LONG_AGO).expire(key, secondsLeft).exec();
export const LONG_AGO = "2001-02-03T04:05:06Z";

/** How often Redis ran each command, also inside a script, while the action ran. */
export async function commandsDuring(redis: Client, action: () => Promise<unknown>): Promise<Record<string, number>> {
  return (await costIn(redis, action)).commands;
}

const OTHERS = new Set(["ping", "replconf"]); // from the watch and the replicas

/** Besides the commands of the action, how many others came meanwhile, and in how many pieces all of them. */
export async function costIn(redis: Client, action: () => Promise<unknown>) {
  const servers = redis.servers();
  await Promise.all(servers.map((server) => server.configResetStat()));
  await action();
  const infos = await Promise.all(servers.map((server) => server.info("all")));
  const commands: Record<string, number> = {};
  let others = 0;
  let roundTrips = 0;
  for (const info of infos) {
    roundTrips += Number(/total_reads_processed:(\d+)/.exec(info)![1]) - 1; // 1: what was asked for these numbers
    for (const [, command, calls] of info.matchAll(/^cmdstat_(\S+?):calls=(\d+)/gm)) {
      if (OTHERS.has(command!)) others += Number(calls);
      else if (command !== "config|resetstat") commands[command!] = (commands[command!] ?? 0) + Number(calls);
    }
  }
  return { commands, others, roundTrips };
}
