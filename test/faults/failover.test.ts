/** A failover behind one address: open connections stay with the server that was the master. */
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { REDIS_TIME_LIMITS } from "../../redis-connection/time-limits.ts";
import { RedisSessionStore } from "../../session-store.ts";
import { Browser, type Reply } from "../browser.ts";
import { spawnExample, spawnServerWith } from "../demo-process.ts";
import { type Forwarder, openForwarder } from "../forwarder.ts";
import { connectPatiently } from "../redis-connection.ts";
import { type SpawnedRedis, spawnRedis } from "../redis-process.ts";
import { spawnSentinel } from "../redis-sentinel.ts";
import { until } from "../wait.ts";

const NO_KEYS = { keys: [], arguments: [] };

/** A master, its replica, and a forwarder that leads to the master. */
async function openPair(t: TestContext) {
  const options = ["--repl-diskless-sync-delay", "0"];
  const [a, b] = await Promise.all([spawnRedis(t, options), spawnRedis(t, options)]);
  await b.send("REPLICAOF", "127.0.0.1", String(a.port));
  assert.ok(await until(() => isLinked(b)), "The replica does not follow its master");
  const forwarder = await openForwarder(t, a.port);
  return { a, b, forwarder, failOver };

  /** Makes the replica the master, sends new connections to it, and keeps the open ones. */
  async function failOver(): Promise<void> {
    assert.ok(await until(async () => (await offsetOf(b)) === (await offsetOf(a))), "The replica lags behind");
    await b.send("REPLICAOF", "NO", "ONE");
    forwarder.sendTo(b.port);
    await a.send("REPLICAOF", "127.0.0.1", String(b.port));
  }
}

const isLinked = async ({ send }: SpawnedRedis) => String(await send("INFO", "replication")).includes("link_status:up");
const offsetOf = async ({ send }: SpawnedRedis) =>
  /master_repl_offset:(\d+)/.exec(String(await send("INFO", "replication")))?.[1];

/** On a busy machine, the servers may also miss checks, so there may be other reasons. */
async function assertOver(log: () => string): Promise<void> {
  assert.ok(await until(() => log().endsWith("Redis is back\n")), log());
  assert.match(log(), /^(Redis (is unavailable: .+|is back|refuses a command: .+|accepts the command again)\n)+$/);
}

async function assertNoTightLoop({ accepted }: Forwarder, ms: number): Promise<void> {
  const [before, start] = [accepted(), performance.now()];
  await sleep(ms);
  const elapsed = performance.now() - start;
  assert.ok(accepted() - before <= elapsed / REDIS_TIME_LIMITS.retryMs + 1, `${accepted() - before} connections`);
}

async function connect(t: TestContext, port: number) {
  const log: string[] = [];
  const redis = await connectPatiently({ host: "127.0.0.1", port }, { log: (line) => log.push(line) });
  t.after(() => redis.close());
  return { redis, log };
}

describe("after a failover behind one address", { concurrency: 2, timeout: 900_000 }, () => {
  test("the demo serves every session again, without a restart", async (t) => {
    const { forwarder, failOver } = await openPair(t);
    const { server, url, browser } = await spawnServerWith(t, forwarder);
    assert.ok(await until(async () => (await browser.post("/login", { ttl: "600" })).status === 200));
    await failOver();
    const start = performance.now();
    let written: Reply;
    const isBack = async () => (written = await browser.post("/increment")).status === 200;
    assert.ok(await until(isBack), server.stderr());
    t.diagnostic(`back after ${(performance.now() - start).toFixed()} ms`);
    const requests = { health: () => browser.get("/healthz"), logIn: () => new Browser(url).post("/login") };
    for (const [what, send] of Object.entries(requests)) {
      assert.ok(await until(async () => (await send()).status === 200), what);
    }
    // A write that was refused for want of time may still have been done.
    const isKept = async () =>
      Number((await browser.get("/session")).json.session?.["page_views"]) >= written.json.page_views!;
    assert.ok(await until(isKept), "the session is lost");
    await assertOver(server.stderr);
  });

  test("so does an example", async (t) => {
    const { forwarder, failOver } = await openPair(t);
    const example = await spawnExample(t, "examples/express.ts", { REDIS_URL: `redis://127.0.0.1:${forwarder.port}` });
    const browser = new Browser(await example.listening());
    assert.ok(await until(async () => (await browser.post("/cart")).status === 200));
    await failOver();
    let written: Reply;
    const isBack = async () => (written = await browser.post("/cart")).status === 200;
    assert.ok(await until(isBack), example.stderr());
    const { cart_items } = JSON.parse(written!.text) as { cart_items: number };
    assert.ok(cart_items > 1, "the session is lost");
    await assertOver(example.stderr);
  });

  test("no write is sent twice", async (t) => {
    const { forwarder, failOver } = await openPair(t);
    const { redis } = await connect(t, forwarder.port);
    const store = new RedisSessionStore({ redis });
    const id = await store.createSession();
    let writes = 0;
    const write = () =>
      store.incrementField(id, `write_${(writes += 1)}`).then(
        () => true,
        () => false,
      );
    const stopping = new AbortController();
    const writing = Array.from({ length: 10 }, async () => {
      for (; !stopping.signal.aborted; await sleep(1)) await write();
    });
    await sleep(100);
    await failOver();
    assert.ok(await until(write));
    stopping.abort();
    await Promise.all(writing);
    const counts = Object.entries((await store.getSession(id))!).filter(([field]) => field.startsWith("write_"));
    assert.ok(counts.length > 10);
    assert.deepEqual(new Set(counts.map(([, count]) => count)), new Set(["1"]));
  });
});

/** What may be wrong with a Redis behind one address. */
const troubles: [what: string, begin: (pair: Awaited<ReturnType<typeof openPair>>) => unknown][] = [
  ["forwards nothing any more", ({ forwarder }) => forwarder.stall()],
  ["has become a replica", ({ a }) => a.send("REPLICAOF", "127.0.0.1", "1")],
  ["has failed over", ({ failOver }) => failOver()],
  ["is gone", ({ a, b }) => Promise.all([a.kill(), b.kill()])],
];

describe("SIGTERM ends it with code 0 while Redis is in trouble", { concurrency: 2, timeout: 900_000 }, () => {
  for (const [what, begin] of troubles) {
    test(`the demo, and Redis ${what}`, async (t) => {
      const pair = await openPair(t);
      const { server, browser } = await spawnServerWith(t, pair.forwarder);
      await browser.post("/login");
      await begin(pair);
      await until(() => server.stderr() !== "");
      const { code, stderr } = await server.stop("SIGTERM"); // the demo ends itself with code 1 if it takes too long
      assert.equal(code, 0, stderr);
    });
  }

  test("an example, and Redis forwards nothing any more", async (t) => {
    const { forwarder } = await openPair(t);
    const example = await spawnExample(t, "examples/express.ts", { REDIS_URL: `redis://127.0.0.1:${forwarder.port}` });
    await new Browser(await example.listening()).post("/cart");
    forwarder.stall();
    assert.ok(await until(() => example.stderr() !== ""));
    example.kill("SIGTERM");
    const { code, stderr } = await example.end();
    assert.equal(code, 0, stderr);
  });
});

test("a forwarder that accepts and never forwards gets one attempt after the other, and requests a 503", async (t) => {
  const { forwarder } = await openPair(t);
  const { server, browser } = await spawnServerWith(t, forwarder);
  await browser.post("/login");
  forwarder.stall();
  assert.equal((await browser.get("/session")).status, 503);
  await assertNoTightLoop(forwarder, REDIS_TIME_LIMITS.connectMs);
  assert.equal((await browser.get("/session")).status, 503);
  assert.match(server.stderr(), /^Redis is unavailable: no reply within \d+ ms\n$/);
});

describe("a server that is a replica", { concurrency: 2, timeout: 900_000 }, () => {
  test("is not given up for another connection to it, and is tried again without a tight loop", async (t) => {
    const { a, forwarder } = await openPair(t);
    const { redis, log } = await connect(t, forwarder.port);
    await a.send("REPLICAOF", "127.0.0.1", "1");
    assert.ok(await until(() => forwarder.accepted() > 1));
    await assertNoTightLoop(forwarder, 3 * REDIS_TIME_LIMITS.retryReplicaMs);
    const isUsed = () => redis.eval("return 1", NO_KEYS).then(Boolean, () => false); // A slow reply may have closed it.
    assert.ok(await until(isUsed));
    await assert.rejects(redis.ping(), { code: "REDIS_UNAVAILABLE", reason: /is a replica/ });
    await a.send("REPLICAOF", "NO", "ONE");
    await assertOver(() => log.map((line) => `${line}\n`).join(""));
    assert.ok(log.includes("Redis is unavailable: the server is a replica, which accepts no writes"));
    await redis.ping();
  });

  test("and a master again every second, is followed with one line of log for each change", async (t) => {
    const { a, forwarder } = await openPair(t);
    const { log } = await connect(t, forwarder.port);
    for (let changes = 0; changes < 6; changes++) {
      await a.send("REPLICAOF", ...(changes % 2 === 0 ? ["127.0.0.1", "1"] : ["NO", "ONE"]));
      await assertNoTightLoop(forwarder, 1000);
    }
    assert.ok(await until(() => log.at(-1) === "Redis is back"));
    assert.ok(log.length <= 6, log.join("\n"));
  });

  test("and that a Sentinel names as the master, is no master until it is one", async (t) => {
    const replica = await spawnRedis(t, ["--replicaof", "127.0.0.1 1"]);
    const sentinel = await spawnSentinel(t, replica.port);
    const log: string[] = [];
    const target = { host: "127.0.0.1", port: sentinel.port, sentinel: "mymaster" };
    const redis = await connectPatiently(target, { log: (line) => log.push(line) });
    t.after(() => redis.close());
    await assert.rejects(redis.ping(), { reason: /is a replica/ });
    await sleep(3 * REDIS_TIME_LIMITS.retryReplicaMs);
    await replica.send("REPLICAOF", "NO", "ONE");
    await assertOver(() => log.map((line) => `${line}\n`).join(""));
    await redis.ping();
  });
});
