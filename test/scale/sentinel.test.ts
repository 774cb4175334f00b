import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createSentinel } from "redis";
import { RedisSessionStore } from "../../session-store.ts";
import { Browser } from "../browser.ts";
import { type SpawnedProgram, spawnServer } from "../demo-process.ts";
import { spawnRedis } from "../redis-process.ts";
import { reservedPort } from "../reserved-port.ts";
import { until } from "../wait.ts";
import { type SentinelNode, type SpawnedSentinels, spawnSentinel, spawnSentinels } from "../redis-sentinel.ts";
import { logIn, Traffic, Visitor } from "./traffic.ts";

const TEST_LIMIT_MS = 900_000;

const serverOf = (t: TestContext, port: number, name = "mymaster") =>
  spawnServer(t, ["--port", "0", "--redis-sentinel", name, "--redis-port", String(port)]);

/** The server is given the first Sentinel. */
async function openDemo(
  t: TestContext,
  { sessions = 1000, ...options }: { sessions?: number; downAfter?: number } = {},
) {
  const redis = await spawnSentinels(t, options);
  const server = serverOf(t, redis.sentinels[0]!.port);
  const { url } = await server.listening();
  const visitors = await logIn(url, sessions);
  return { redis, server, url, visitors, master: (await redis.master())! };
}

async function assertAllThere(visitors: Visitor[], url?: string) {
  for (const visitor of visitors) {
    await visitor.assertThere(url === undefined ? undefined : new Browser(url, visitor.browser.sessionId));
  }
}

/** The next master, as soon as all Sentinels agree on it. */
async function successorOf(master: SentinelNode, redis: SpawnedSentinels): Promise<SentinelNode> {
  let successor: SentinelNode | undefined;
  const isElected = async () => {
    successor = await redis.master();
    return successor !== undefined && successor !== master;
  };
  assert.ok(await until(isElected), "No other master is elected");
  return successor!;
}

/** Whether this server gets no request for a session while the traffic goes on. */
async function isLeftAlone(node: SentinelNode, traffic: Traffic): Promise<boolean> {
  await node.send("CONFIG", "RESETSTAT");
  await traffic.goesOn(200);
  return !/cmdstat_eval/.test(String(await node.send("INFO", "commandstats")));
}

const ONE_OUTAGE = /^(Redis is unavailable: .+\n){1,2}Redis is back\n$/;

interface Loss {
  lose: (node: SentinelNode) => unknown;
  restore: (node: SentinelNode, redis: SpawnedSentinels) => unknown;
}

const losses: [how: string, Loss][] = [
  ["is killed", { lose: (node) => node.kill(), restore: (node, { start }) => start(node) }],
  ["hangs", { lose: (node) => node.hang(), restore: (node) => node.resume() }],
];

for (const [how, { lose, restore }] of losses) {
  test(`the master ${how} under 1,000 sessions`, { timeout: TEST_LIMIT_MS }, async (t) => {
    const { redis, server, visitors, master } = await openDemo(t);
    const traffic = new Traffic(t, visitors);
    await traffic.goesOn();
    traffic.isLossy = true;
    await redis.waitUntilReplicated();
    await lose(master);

    await t.test("page views are counted again within seconds", async () => {
      await traffic.goesOn();
      assert.ok(traffic.refused > 0);
    });

    const successor = await successorOf(master, redis);
    await restore(master, redis);

    await t.test("the server stays with the new master when the old one returns", async () => {
      assert.equal(await isLeftAlone(master, traffic), true);
      assert.ok(await until(() => redis.follow(successor)), "It does not follow the new master");
      assert.equal(await isLeftAlone(master, traffic), true);
      assert.equal(await redis.master(), successor);
    });

    await traffic.stop();

    await t.test("is a 503 at worst, with the cookie left alone", () => traffic.assertRight(t));

    await t.test("costs no session and no page view that the replicas had, and counts none twice", () =>
      assertAllThere(visitors),
    );

    await t.test("the outage is logged once", () => {
      assert.match(server.stderr(), ONE_OUTAGE);
    });

    await t.test("a new server finds the sessions, whichever Sentinel it is given", async () => {
      for (const { port } of redis.sentinels) {
        const { url } = await serverOf(t, port).listening();
        await assertAllThere(visitors.slice(0, 20), url);
      }
    });
  });

  test(`the Sentinel that was named ${how}, and then the master`, { timeout: TEST_LIMIT_MS }, async (t) => {
    const { redis, server, visitors, master } = await openDemo(t, { sessions: 100 });
    const traffic = new Traffic(t, visitors);
    await traffic.goesOn();
    await lose(redis.sentinels[0]!);
    await traffic.goesOn(1000);
    assert.equal(traffic.refused, 0);
    traffic.isLossy = true;
    await redis.waitUntilReplicated();
    await lose(master);
    await traffic.goesOn();
    await traffic.stop();
    traffic.assertRight(t);
    assert.ok(traffic.refused > 0);
    await assertAllThere(visitors);
    assert.match(server.stderr(), ONE_OUTAGE);
  });

  test(`every Sentinel ${how}: no request fails while the master lives`, { timeout: TEST_LIMIT_MS }, async (t) => {
    const { redis, server, url, visitors } = await openDemo(t, { sessions: 100 });
    const traffic = new Traffic(t, visitors);
    await traffic.goesOn();
    for (const sentinel of redis.sentinels) await lose(sentinel);
    for (let seconds = 0; seconds < 6; seconds++) {
      assert.equal((await new Browser(url).get("/healthz")).status, 200);
      await sleep(1000);
    }
    await traffic.goesOn();
    await traffic.stop();
    traffic.assertRight(t);
    assert.deepEqual([traffic.refused, server.stderr()], [0, ""]);
    await assertAllThere(visitors);
  });
}

test("a planned failover is followed, and nobody is signed out", { timeout: TEST_LIMIT_MS }, async (t) => {
  const { redis, server, visitors, master } = await openDemo(t);
  const traffic = new Traffic(t, visitors);
  await traffic.goesOn();
  traffic.isLossy = true;
  await redis.waitUntilReplicated();
  await redis.sentinels[1]!.send("SENTINEL", "FAILOVER", redis.name);
  await successorOf(master, redis);
  const hasFollowed = () => isLeftAlone(master, traffic);
  assert.ok(await until(hasFollowed), "The server stays with the old master");
  assert.match(String(await master.send("INFO", "replication")), /role:master/); // so only the Sentinels told the server to leave it
  await traffic.stop();
  traffic.assertRight(t);
  await assertAllThere(visitors);
  assert.match(server.stderr(), /^(Redis is (unavailable: .+|back)\n)*$/);
  assert.doesNotMatch(server.stderr(), /unavailable[^]*unavailable/);
});

test("a write whose reply is lost is not sent again", { timeout: TEST_LIMIT_MS }, async (t) => {
  const { url, visitors, master } = await openDemo(t, { sessions: 100, downAfter: 60_000 });
  master.hang();
  const counting = Promise.all(visitors.map((visitor) => visitor.count(true)));
  await sleep(1500);
  master.resume();
  assert.ok((await counting).includes(503));
  const isWell = async () => (await new Browser(url).get("/healthz")).status === 200;
  assert.ok(await until(isWell), "It does not recover");
  const views = await Promise.all(visitors.map((visitor) => visitor.assertThere()));
  const done = views.filter((count) => count === 2).length;
  t.diagnostic(`${done} of 100 page views were counted, though nobody was told`);
  assert.ok(done > 0);
});

test(
  "user, password and database are the master's, before and after a failover",
  { timeout: TEST_LIMIT_MS },
  async (t) => {
    const redis = await spawnSentinels(t);
    for (const { send } of redis.nodes) await send("ACL", "SETUSER", "demo", "on", ">s3cret/+@", "~*", "+@all");
    const { port } = redis.sentinels[0]!;
    const environment = {
      REDIS_SENTINEL: redis.name,
      REDIS_URL: `redis://demo:${encodeURIComponent("s3cret/+@")}@127.0.0.1:${port}/2`,
    };
    const server = spawnServer(t, ["--port", "0"], environment);
    const { url, stdout } = await server.listening();
    assert.match(stdout, new RegExp(`^Redis: 127\\.0\\.0\\.1:${port} \\(Sentinel of mymaster\\)$`, "m"));
    const visitor = new Visitor(url, "ada");
    await visitor.logIn();
    const master = (await redis.master())!;
    assert.match(String(await master.send("CLIENT", "LIST")), / db=2 .* user=demo /);
    await redis.waitUntilReplicated();
    await master.kill();
    const isBack = async () => (await visitor.count(true)) === 200;
    assert.ok(await until(isBack), "It does not recover");
    const successor = await successorOf(master, redis);
    assert.match(String(await successor.send("INFO", "keyspace")), /^db2:keys=[1-9]/m);
    assert.match(String(await successor.send("CLIENT", "LIST")), / db=2 .* user=demo /);
    const { stdout: said, stderr } = await server.stop("SIGTERM");
    assert.doesNotMatch(said + stderr, /s3cret/);
  },
);

test("a Sentinel that wants a password gets the master's", async (t) => {
  const master = await spawnRedis(t);
  const sentinel = await spawnSentinel(t, master.port);
  for (const { send } of [master, sentinel]) await send("ACL", "SETUSER", "default", "resetpass", ">s3cret");
  const { port } = sentinel;
  const lines = "refuses \\(NOAUTH.+\\)\\. Put its user and password into --redis-url\\.";
  await assertOneLine(serverOf(t, port), `Redis at ${here(port)} ${lines}`);
  const environment = { REDIS_URL: `redis://:s3cret@localhost:${port}` };
  const { url } = await spawnServer(t, ["--port", "0", "--redis-sentinel", "mymaster"], environment).listening();
  for (const visitor of await logIn(url, 5)) assert.equal(await visitor.count(false), 200);
});

test(
  "node-redis' own Sentinel client serves the store, before and after a failover",
  { timeout: TEST_LIMIT_MS },
  async (t) => {
    const { name, nodes, sentinels, waitUntilReplicated } = await spawnSentinels(t);
    const client = createSentinel({
      name,
      sentinelRootNodes: sentinels.map(({ port }) => ({ host: "127.0.0.1", port })),
      maxCommandRediscovers: 0,
    });
    t.after(() => client.destroy());
    await client.on("error", () => {}).connect();
    const store = new RedisSessionStore({ redis: client });
    const id = await store.createSession({ page_views: 0 });
    await store.incrementField(id, "page_views");
    const newId = (await store.rotateSession(id))!;
    await waitUntilReplicated();
    await nodes[0]!.kill();
    let [counted, tried] = [1, 1];
    const isBack = async () => {
      tried += 1;
      const views = await store.incrementField(newId, "page_views").catch(() => undefined);
      if (views !== undefined) counted += 1;
      return views !== undefined;
    };
    assert.ok(await until(isBack), "It does not recover");
    const views = Number((await store.getSession(newId))!["page_views"]);
    assert.ok(views >= counted && views <= tried, `${views} page views, not ${counted} to ${tried}`);
    assert.equal(await store.getSession(id), null);
    assert.equal(await store.deleteSession(newId), true);
  },
);

const here = (port: number, name = "mymaster") => `localhost:${port} \\(Sentinel of ${name}\\)`;

async function assertOneLine(server: SpawnedProgram, line: string) {
  const { code, stdout, stderr } = await server.end();
  assert.deepEqual([code, stdout], [1, ""], stderr);
  assert.match(stderr, new RegExp(`^${line}\\n$`));
}

test("the start ends with one line that names host and port", { timeout: TEST_LIMIT_MS }, async (t) => {
  const { nodes, sentinels } = await spawnSentinels(t, { downAfter: 60_000 });
  const { port } = sentinels[0]!;

  await t.test("where the Sentinel knows no master of that name", () =>
    assertOneLine(
      serverOf(t, port, "another"),
      `Redis at ${here(port, "another")} refuses \\(ERR No such master.*\\)\\.`,
    ),
  );

  await t.test("where a Redis is no Sentinel", () =>
    assertOneLine(
      serverOf(t, nodes[0]!.port),
      `Redis at ${here(nodes[0]!.port)} refuses \\(ERR unknown command.*\\)\\.`,
    ),
  );

  await t.test("where nobody listens", async () => {
    const free = await reservedPort();
    await assertOneLine(serverOf(t, free), `No Redis at ${here(free)} \\(.*ECONNREFUSED.*\\)\\..+`);
  });

  for (const [how, { lose }] of losses.toReversed()) {
    await t.test(`where the Sentinel ${how}`, async () => {
      await lose(sentinels[1]!);
      await assertOneLine(serverOf(t, sentinels[1]!.port), `No Redis at ${here(sentinels[1]!.port)} \\(.+\\)\\..+`);
    });

    await t.test(`where the master ${how}, and no other is elected`, async () => {
      await lose(nodes[0]!);
      await assertOneLine(serverOf(t, port), `No Redis at ${here(port)} \\(.+\\)\\..+`);
    });
  }
});
