/** What node-redis does when a slot has moved: it opens a connection, and asks for the new map of the slots. */
import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { after, test, type TestContext } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { RedisConnection } from "../../redis-connection/index.ts";
import { openForwarder } from "../forwarder.ts";
import { type ClusterNode, spawnCluster } from "../redis-cluster.ts";
import { connectPatiently } from "../redis-connection.ts";
import { until } from "../wait.ts";

const KEY = "key";
const MOVES = 20;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const isServed = (redis: RedisConnection) =>
  redis.eval("return 1", { keys: [KEY], arguments: [] }).then(
    () => true,
    () => false,
  );

/** Moves the slot of the key, which has no value, to another node. */
async function moveSlot(nodes: ClusterNode[]): Promise<void> {
  const slot = String(await nodes[0]!.send("CLUSTER", "KEYSLOT", KEY));
  const replies = await Promise.allSettled(nodes.map(({ send }) => send("EXISTS", KEY)));
  const [from, to, other] = [...nodes, ...nodes].slice(replies.findIndex(({ status }) => status === "fulfilled"));
  await to!.send("CLUSTER", "SETSLOT", slot, "IMPORTING", from!.id);
  for (const node of [to!, from!, other!]) await node.send("CLUSTER", "SETSLOT", slot, "NODE", to!.id);
  const haveHeard = async () =>
    (await Promise.allSettled(nodes.map(({ send }) => send("EXISTS", KEY)))).every(
      ({ status }, i) => (status === "fulfilled") === (nodes[i] === to),
    );
  assert.ok(await until(haveHeard), "The nodes do not agree");
}

const { nodes } = await spawnCluster({ after }, { replicas: 0 });

async function connect(t: TestContext) {
  const redis = await connectPatiently({ host: "127.0.0.1", port: nodes[0]!.port, cluster: true }, { log: () => {} });
  t.after(() => redis.close());
  return redis;
}

test("the connections that ask for the new map are not kept in memory", { timeout: 300_000 }, async (t) => {
  const redis = await connect(t);
  const sockets: WeakRef<Socket>[] = [];
  const onSocket = (message: unknown) => sockets.push(new WeakRef((message as { socket: Socket }).socket));
  subscribe("net.client.socket", onSocket);
  t.after(() => unsubscribe("net.client.socket", onSocket));
  for (let moves = 0; moves < MOVES; moves++) {
    await moveSlot(nodes);
    assert.ok(await until(() => isServed(redis)));
  }
  const isForgotten = () => {
    collectGarbage();
    return sockets.filter((socket) => socket.deref() !== undefined).length < MOVES / 2;
  };
  assert.ok(sockets.length > MOVES);
  assert.ok(await until(isForgotten), "closed sockets are kept");
});

test("a connection that asks for the new map and gets no reply is given up", { timeout: 300_000 }, async (t) => {
  const forwarders = await Promise.all(nodes.map(({ port }) => openForwarder(t, port)));
  await Promise.all(
    nodes.map(({ send }, i) => send("CONFIG", "SET", "cluster-announce-port", String(forwarders[i]!.port))),
  );
  const haveHeard = async () => {
    const maps = await Promise.all(nodes.map(({ send }) => send("CLUSTER", "NODES")));
    return maps.every((map) => forwarders.every(({ port }) => String(map).includes(`:${port}@`)));
  };
  assert.ok(await until(haveHeard), "The nodes do not announce the forwarders");
  const redis = await connect(t);
  await moveSlot(nodes);
  for (const { sendTo } of forwarders) sendTo(undefined);
  const accepted = () => forwarders.reduce((sum, forwarder) => sum + forwarder.accepted(), 0);
  const before = accepted();
  const first = isServed(redis);
  assert.ok(await until(() => accepted() > before), "no connection was opened");
  for (const [i, { sendTo }] of forwarders.entries()) sendTo(nodes[i]!.port);
  assert.equal(await first, true);
});
