import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { createCluster } from "redis";
import { RedisUnavailableError } from "../../session-store.ts";
import { UserSessions } from "../../user-sessions.ts";
import { type ClusterNode, spawnCluster } from "../redis-cluster.ts";
import { connectPatiently } from "../redis-connection.ts";
import { NO_HURRY } from "../store-under-test.ts";
import { until } from "../wait.ts";

const USER = "andrew";
const INDEX_KEY = `session:user:${createHash("sha256").update(USER).digest("base64url")}`;

const sessionKeysIn = async (node: ClusterNode) =>
  ((await node.send("KEYS", "session:*")) as string[]).filter((key) => key !== INDEX_KEY);
const logIn = (store: UserSessions) => store.createSession({}, { user: USER });
const hasIndex = async (node: ClusterNode) => ((await node.send("KEYS", INDEX_KEY)) as string[]).length === 1;

test("ending all sessions while a master hangs", { timeout: 900_000 }, async (t) => {
  const cluster = await spawnCluster(t);
  const redis = await connectPatiently(
    { host: "127.0.0.1", port: cluster.nodes[0]!.port, cluster: true },
    { log: () => {} },
  );
  t.after(() => redis.close());
  const sessions = new UserSessions({ redis });
  const ids = await Promise.all(Array.from({ length: 60 }, () => logIn(sessions)));
  const kept = ids[0]!;
  const masters = await cluster.masters();
  const holdIndex = await Promise.all(masters.map(hasIndex));
  const indexNode = masters[holdIndex.indexOf(true)]!;
  const keptKey = sessions.keyOf(kept);
  const others = masters.filter((master) => master !== indexNode);
  const keysOfOthers = await Promise.all(others.map(sessionKeysIn));
  const lost = keysOfOthers[0]!.includes(keptKey) ? 1 : 0;
  const lostMembers = keysOfOthers[lost]!.map((key) => key.slice("session:".length));
  assert.ok(lostMembers.length > 0 && lostMembers.length < ids.length - 1);
  await cluster.waitUntilReplicated();

  others[lost]!.hang();
  await t.test("is an error, and never a success", () =>
    assert.rejects(sessions.endSessions(USER, { except: kept }), RedisUnavailableError),
  );

  await t.test("ends what is in reach, and marks what is not", async () => {
    for (const member of lostMembers) {
      const score = Number(await indexNode.send("ZSCORE", INDEX_KEY, member));
      assert.ok(score < 0, `${member} is not marked`);
    }
    assert.ok(Number(await indexNode.send("ZSCORE", INDEX_KEY, kept)) > 0);
    const left = await Promise.all(masters.filter((master) => master !== others[lost]).map(sessionKeysIn));
    assert.deepEqual(left.flat(), [keptKey]);
  });

  await t.test("is completed by the next call, once a replica has taken over", async () => {
    let ended = 0;
    const end = async () => {
      try {
        ended += await sessions.endSessions(USER, { except: kept });
        return true;
      } catch (error) {
        assert.ok(error instanceof RedisUnavailableError, String(error));
        return false;
      }
    };
    assert.ok(await until(end), "It never succeeds");
    assert.ok(ended <= lostMembers.length);
    const alive = await Promise.all(ids.map((id) => sessions.getTtl(id)));
    assert.deepEqual(
      ids.filter((_, i) => alive[i] !== null),
      [kept],
    );
    assert.deepEqual(await indexNode.send("ZRANGE", INDEX_KEY, "0", "-1"), [kept]);
  });

  await t.test("leaves nothing behind when the lost master returns", async () => {
    others[lost]!.resume();
    assert.ok(await until(cluster.isWhole), "The cluster does not recover");
    const keys = await Promise.all((await cluster.masters()).map(sessionKeysIn));
    assert.deepEqual(keys.flat(), [keptKey]);
    assert.equal((await sessions.listSessions(USER)).length, 1);
  });
});

test("a log-in while a master hangs", { timeout: 900_000 }, async (t) => {
  const { nodes } = await spawnCluster(t, { replicas: 0 });
  for (const { send } of nodes) await send("CONFIG", "SET", "cluster-require-full-coverage", "no");
  // Unlike `connectRedis`, this does not notice that a node hangs.
  const redis = createCluster({ rootNodes: nodes.map(({ port }) => ({ socket: { host: "127.0.0.1", port } })) });
  await redis.connect();
  t.after(() => redis.destroy());
  const count = 30;
  const sessions = new UserSessions({ redis });
  const atLimit = new UserSessions({ redis, maxSessions: count });
  const logIns = (store: UserSessions) => Promise.allSettled(Array.from({ length: count }, () => logIn(store)));
  const ids = await Promise.all(Array.from({ length: count }, () => logIn(sessions)));
  const isIndexThere = await Promise.all(nodes.map(hasIndex));
  const hanging = nodes[isIndexThere.indexOf(false)]!;
  assert.ok((await sessionKeysIn(hanging)).length > 0);
  hanging.hang();

  await t.test("at the limit is an error", async () => {
    for (const attempt of await logIns(atLimit)) {
      assert.ok(attempt.status === "rejected" && attempt.reason instanceof RedisUnavailableError);
    }
  });

  await t.test("below the limit succeeds, if its own session is on another node", async () => {
    for (const attempt of await logIns(sessions)) {
      if (attempt.status === "fulfilled") ids.push(attempt.value);
      else assert.ok(attempt.reason instanceof RedisUnavailableError);
    }
    assert.ok(ids.length > count);
  });

  await t.test("ends no session", async () => {
    hanging.resume();
    const list = await new UserSessions({ redis, ...NO_HURRY }).listSessions(USER);
    const handles = new Set(list.map(({ handle }) => handle));
    assert.deepEqual(
      ids.filter((id) => !handles.has(sessions.handleOf(id))),
      [],
    );
  });
});

test("ending many sessions while a master hangs ends those on the other nodes", { timeout: 300_000 }, async (t) => {
  const { nodes } = await spawnCluster(t, { replicas: 0 });
  for (const { send } of nodes) await send("CONFIG", "SET", "cluster-require-full-coverage", "no");
  // Unlike `connectRedis`, this does not notice that a node hangs.
  const redis = createCluster({ rootNodes: nodes.map(({ port }) => ({ socket: { host: "127.0.0.1", port } })) });
  await redis.connect();
  t.after(() => redis.destroy());
  const patient = new UserSessions({ redis, ...NO_HURRY });
  for (let i = 0; i < 15; i++) await Promise.all(Array.from({ length: 100 }, () => logIn(patient)));
  const isIndexThere = await Promise.all(nodes.map(hasIndex));
  const hanging = nodes[isIndexThere.indexOf(false)]!;
  const others = nodes.filter((node) => node !== hanging);
  hanging.hang();
  const sessions = new UserSessions({ redis });
  const areOthersEnded = async () => {
    await assert.rejects(sessions.endSessions(USER), { code: "REDIS_UNAVAILABLE" });
    return (await Promise.all(others.map(sessionKeysIn))).flat().length === 0;
  };
  assert.ok(await until(areOthersEnded), "Sessions on nodes that reply are alive");
  hanging.resume();
  await patient.endSessions(USER);
  assert.deepEqual((await Promise.all(nodes.map(sessionKeysIn))).flat(), []);
});
