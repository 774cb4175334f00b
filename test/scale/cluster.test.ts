import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ON_A_CLUSTER, PASSWORD, RULES, USER } from "../redis-acl.ts";
import { Browser } from "../browser.ts";
import { spawnServer } from "../demo-process.ts";
import { spawnRedis } from "../redis-process.ts";
import { until } from "../wait.ts";
import { type ClusterNode, spawnCluster } from "../redis-cluster.ts";
import { logIn, PAUSE_MS, Traffic, type Visitor, WORKERS } from "./traffic.ts";

/** On a busy machine, a master that is busy with its replicas may not reply to a PING in time. */
const BUSY_MACHINE = /Redis is unavailable: no reply within \d+ ms\nRedis is back\n/g;

/** The statuses of /healthz until the test stops it, each change once. */
function followHealth(t: TestContext, url: string) {
  const stopping = new AbortController();
  t.after(() => stopping.abort());
  const statuses: number[] = [];
  const following = (async () => {
    for (const browser = new Browser(url); !stopping.signal.aborted; await sleep(50)) {
      const status = await browser.get("/healthz").then(
        (reply) => reply.status,
        () => 0,
      );
      if (status !== statuses.at(-1)) statuses.push(status);
    }
  })();
  return {
    isWell: () => statuses.at(-1) === 200,
    async stop() {
      stopping.abort();
      await following;
      return statuses;
    },
  };
}

const clusterServer = (t: TestContext, port: number) =>
  spawnServer(t, ["--port", "0", "--redis-port", String(port), "--redis-cluster"]);

async function openDemo(t: TestContext, { sessions = 1000 } = {}) {
  const cluster = await spawnCluster(t);
  const server = clusterServer(t, cluster.nodes[0]!.port);
  const { url } = await server.listening();
  const visitors = await logIn(url, sessions);
  return { cluster, server, url, visitors };
}

async function assertAllThere(visitors: Visitor[]) {
  for (const visitor of visitors) await visitor.assertThere();
}

/** Of sessions, whose IDs have 43 characters, and not of the lists of users. */
const keysIn = async (node: ClusterNode) => (await node.send("KEYS", `session:${"?".repeat(43)}`)) as string[];

const losses: [how: string, lose: (master: ClusterNode) => unknown, restore: (master: ClusterNode) => unknown][] = [
  ["is killed", (master) => master.kill(), (master) => master.start()],
  ["hangs", (master) => master.hang(), (master) => master.resume()],
];
for (const [how, lose, restore] of losses) {
  test(`a master ${how} under 1,000 sessions`, { timeout: 900_000 }, async (t) => {
    const { cluster, server, url, visitors } = await openDemo(t);
    const [master] = await cluster.masters();
    const health = followHealth(t, url);
    const traffic = new Traffic(t, visitors);
    await traffic.goesOn();
    traffic.isLossy = true;
    await cluster.waitUntilReplicated();
    await lose(master!);
    const isNoticed = await until(() => !health.isWell());
    const isBack = await until(health.isWell);
    await traffic.goesOn();
    await restore(master!);
    const isWhole = await until(cluster.isWhole);
    await traffic.goesOn();
    await traffic.stop();
    const statuses = await health.stop();

    await t.test("is a 503 at worst, with the cookie left alone", (part) => traffic.assertRight(part));

    await t.test("the outage ends when its replica has taken over, and stays ended when it returns", () => {
      assert.deepEqual([isNoticed, isBack, isWhole], [true, true, true]);
      assert.deepEqual([...statuses.slice(0, 2), statuses.at(-1)], [200, 503, 200]);
    });

    await t.test("costs no session, and no page view that its replica had", () => assertAllThere(visitors));

    await t.test("the outage is logged once", () => {
      const log = server.stderr().replaceAll(BUSY_MACHINE, "");
      assert.match(log, /^(Redis is unavailable: .+\nRedis is back\n)?$/);
      assert.notEqual(server.stderr(), "");
    });
  });
}

test("a master hands over to its replica with hardly an error and without a loss", { timeout: 900_000 }, async (t) => {
  const { cluster, server, visitors } = await openDemo(t);
  const traffic = new Traffic(t, visitors);
  for (const master of await cluster.masters()) {
    await traffic.goesOn();
    await cluster.failover(await cluster.replicaOf(master));
  }
  await traffic.goesOn();
  await traffic.stop();
  traffic.assertRight(t);
  assert.ok(traffic.refused < traffic.counted / 10, server.stderr());
  await assertAllThere(visitors);
});

describe("slots move to another master", () => {
  test("slots move to another master without an error and without a loss", { timeout: 900_000 }, async (t) => {
    const { cluster, server, visitors } = await openDemo(t);
    const [from, to] = await cluster.masters();
    const before = new Set(await keysIn(from!));
    const traffic = new Traffic(t, visitors);
    await traffic.goesOn();
    await cluster.reshard(from!, to!, 2000);
    await traffic.goesOn();
    await traffic.stop();
    traffic.assertRight(t);
    assert.equal(traffic.refused, 0, server.stderr());
    const moved = (await keysIn(to!)).filter((key) => before.has(key));
    assert.ok(moved.length > 50, `${moved.length} sessions have moved`);
    await assertAllThere(visitors);
  });

  test("slots that move bring back no session that was logged out meanwhile", { timeout: 900_000 }, async (t) => {
    const { cluster, url, visitors } = await openDemo(t, { sessions: 1500 });
    const [from, to] = await cluster.masters();
    const moving = new Set(await keysIn(from!));
    const leaving = visitors.filter(({ key }) => moving.has(key));
    const staying = visitors.filter(({ key }) => !moving.has(key));
    const ended: string[] = [];
    const over = new AbortController();
    const resharding = cluster.reshard(from!, to!, 4000).finally(() => over.abort());
    const workers = Array.from({ length: WORKERS }, async () => {
      for (; leaving.length > 0 && !over.signal.aborted; await sleep(10 * PAUSE_MS)) {
        ended.push(await logOutInACrowd(url, leaving.pop()!));
      }
    });
    await Promise.all([resharding, ...workers]);
    t.diagnostic(`${ended.length} log-outs, ${leaving.length} left`);
    assert.ok(ended.length > 100, `only ${ended.length} log-outs`);
    for (const id of ended) {
      const { json } = await new Browser(url, id).get("/session");
      assert.deepEqual(json, { authenticated: false, session: null });
    }
    const alive = [...staying, ...leaving];
    await assertAllThere(alive);
    const keys = (await Promise.all((await cluster.masters()).map(keysIn))).flat();
    assert.deepEqual(keys.toSorted(), alive.map(({ key }) => key).toSorted());
  });
});

/** Logs out while other requests use the same session. Returns the ID, which is dead from then on. */
async function logOutInACrowd(url: string, { browser }: Visitor): Promise<string> {
  const id = browser.sessionId;
  const [{ status, text }, ...others] = await Promise.all([
    browser.post("/logout"),
    new Browser(url, id).post("/increment"),
    new Browser(url, id).get("/session"),
    new Browser(url, id).post("/ttl", { ttl: "3000" }),
    new Browser(url, id).post("/increment"),
  ]);
  assert.equal(status, 200, text);
  for (const other of others) assert.ok([200, 401].includes(other.status), other.text);
  return id;
}

test("while all nodes hang for two seconds, requests get 503, and nothing is lost", { timeout: 900_000 }, async (t) => {
  const { cluster, url, visitors } = await openDemo(t);
  const health = followHealth(t, url);
  const traffic = new Traffic(t, visitors);
  await traffic.goesOn();
  traffic.isLossy = true;
  await cluster.waitUntilReplicated();
  for (const node of cluster.nodes) node.hang();
  await sleep(2000);
  assert.equal(health.isWell(), false);
  for (const node of cluster.nodes) node.resume();
  assert.ok(await until(health.isWell), "It does not recover");
  await traffic.goesOn();
  await traffic.stop();
  await health.stop();
  traffic.assertRight(t);
  assert.ok(traffic.refused > 0);
  await assertAllThere(visitors);
});

test("slots without a master are served as soon as a master takes them", { timeout: 900_000 }, async (t) => {
  const cluster = await spawnCluster(t, { replicas: 0 });
  const [lost, ...others] = cluster.nodes;
  const [heir] = others;
  const server = clusterServer(t, heir!.port);
  const { url } = await server.listening();
  const health = followHealth(t, url);
  await lost!.kill();
  for (const { send } of others) await send("CLUSTER", "FORGET", lost!.id);
  await sleep(2000); // for the server to ask who is there
  assert.equal(health.isWell(), false);
  await heir!.send("CLUSTER", "ADDSLOTSRANGE", "0", "5460");
  const isAgreed = async () => {
    const states = await Promise.all(others.map(({ send }) => send("CLUSTER", "INFO")));
    return states.every((state) => String(state).includes("cluster_state:ok"));
  };
  assert.ok(await until(isAgreed), "The nodes do not agree");
  assert.ok(await until(health.isWell), "It does not recover");
  for (const visitor of await logIn(url, 100)) await visitor.count(false);
});

describe("--redis-cluster", () => {
  test("--redis-cluster takes any node, master or replica", { timeout: 900_000 }, async (t) => {
    const { nodes } = await spawnCluster(t);
    await Promise.all(
      nodes.map(async (node) => {
        const { url } = await clusterServer(t, node.port).listening();
        const visitors = await logIn(url, 20);
        for (const visitor of visitors) await visitor.count(false);
        assert.equal((await new Browser(url).get("/healthz")).status, 200);
      }),
    );
  });

  test(
    "--redis-cluster needs every rule that the docs add to the user for a cluster",
    { timeout: 900_000 },
    async (t) => {
      const { nodes } = await spawnCluster(t, { replicas: 0 });
      const setUser = (...rules: string[]) =>
        Promise.all(nodes.map(({ send }) => send("ACL", "SETUSER", USER, "on", `>${PASSWORD}`, ...rules)));
      const redisUrl = `redis://${USER}:${PASSWORD}@127.0.0.1:${nodes[0]!.port}`;
      const serverOfUser = () => spawnServer(t, ["--port", "0", "--redis-url", redisUrl, "--redis-cluster"]);
      await setUser(...RULES);
      const { code, stderr } = await serverOfUser().end();
      assert.equal(code, 1);
      assert.match(stderr, /NOPERM.*cluster\|slots/);

      await setUser(...ON_A_CLUSTER);
      const { url } = await serverOfUser().listening();
      const [visitor] = await logIn(url, 1);
      const slot = String(await nodes[0]!.send("CLUSTER", "KEYSLOT", visitor!.key));
      const counts = await Promise.all(nodes.map(({ send }) => send("CLUSTER", "COUNTKEYSINSLOT", slot)));
      const from = nodes[counts.indexOf(1)]!;
      const to = nodes[counts.indexOf(0)]!;
      await to.send("CLUSTER", "SETSLOT", slot, "IMPORTING", from.id);
      await from.send("CLUSTER", "SETSLOT", slot, "MIGRATING", to.id);
      await from.send("MIGRATE", "127.0.0.1", String(to.port), visitor!.key, "0", "1000");
      assert.equal(await visitor!.count(false), 200);
      await setUser("-asking");
      assert.equal(await visitor!.count(false), 503);
    },
  );

  test("the start ends with one line if some slots of the cluster have no master", async (t) => {
    const { port, send } = await spawnRedis(t, ["--cluster-enabled", "yes"]);
    await send("CLUSTER", "ADDSLOTSRANGE", "0", "16000");
    const { code, stdout, stderr } = await clusterServer(t, port).end();
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, new RegExp(`^No Redis at localhost:${port} \\(cluster\\) \\(some slots .+\\)\\..+\\n$`));
  });

  test("the start ends with one line if the Redis is no cluster", async (t) => {
    const { port } = await spawnRedis(t);
    const { code, stdout, stderr } = await clusterServer(t, port).end();
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, new RegExp(`^Redis at localhost:${port} \\(cluster\\) refuses \\(.*cluster.*\\)\\.\\n$`));
  });
});
