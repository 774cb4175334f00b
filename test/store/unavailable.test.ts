import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "redis";
import { type RedisScripting, RedisSessionStore, RedisUnavailableError } from "../../session-store.ts";
import { openRedis, openServer } from "../redis-connection.ts";
import { spawnRedis } from "../redis-process.ts";
import { openStore, snapshot } from "../store-under-test.ts";
import { until } from "../wait.ts";
import { enders, onSession, refreshing, writes } from "./every-operation.ts";

const { redis, connect } = await openRedis();

const operations = [...writes, ...onSession];
const fail = () => {
  throw new Error("closed");
};

describe("every operation rejects with a RedisUnavailableError", () => {
  test("that has a code and a cause", async () => {
    const stopped = await openServer();
    const store = new RedisSessionStore({ redis: stopped.redis });
    const id = await store.createSession();
    await stopped.redis.sendCommand(["SHUTDOWN", "NOSAVE"]).catch(() => {});
    for (const [operation, run] of operations) {
      const failure = await run(store, id).catch((error: unknown) => error);
      assert.ok(failure instanceof RedisUnavailableError, operation);
      assert.equal(failure.code, "REDIS_UNAVAILABLE");
      assert.ok(failure.cause instanceof Error, operation);
      assert.ok(failure.message.length > 0, "the message says why");
    }
  });

  test("if the user of Redis has no permission", async () => {
    await redis.aclSetUser("stranger", ["on", ">secret", "~*", "+@connection", "+cluster|slots"]);
    const { store, prefix, key } = openStore(redis);
    const id = await store.createSession();
    const before = await snapshot(redis, key(id));
    const stranger = await connect({ username: "stranger", password: "secret" });
    const denied = new RedisSessionStore({ redis: stranger, prefix });
    for (const [operation, run] of operations) {
      await assert.rejects(run(denied, id), { name: "RedisUnavailableError", message: /NOPERM/ }, operation);
    }
    assert.deepEqual(await snapshot(redis, key(id)), before);
  });

  test("if Redis is a read-only replica, which still allows peeks", async () => {
    const replica = await openServer();
    const { store, key } = openStore(replica.redis);
    const id = await store.createSession();
    await replica.redis.expire(key(id), 100);
    await replica.redis.sendCommand(["REPLICAOF", "127.0.0.1", "1"]);
    for (const [operation, run] of [...writes, refreshing[0]!, ...enders]) {
      await assert.rejects(run(store, id), { name: "RedisUnavailableError", message: /READONLY/ }, operation);
    }
    assert.equal(await store.getTtl(id), 100);
  });

  test("for a write or a rotation if memory is full, which changes nothing; reads and a log-out still work", async () => {
    const full = await openServer();
    const { store, prefix, key } = openStore(full.redis);
    const id = await store.createSession();
    await full.redis.configSet("maxmemory", "1");
    for (const [operation, run] of [...writes, enders[0]!]) {
      await assert.rejects(run(store, id), { name: "RedisUnavailableError", message: /OOM/ }, operation);
    }
    assert.deepEqual(await full.redis.keys(`${prefix}*`), [key(id)]);
    await full.redis.expire(key(id), 100);
    assert.equal((await store.getSession(id))!.ttl, "1800", "the idle timeout is reset");
    assert.equal(await store.deleteSession(id), true);
  });
});

describe("a client that throws", () => {
  test("is a RedisUnavailableError for every operation", async () => {
    const store = new RedisSessionStore({ redis: { evalSha: fail, eval: fail } });
    for (const [operation, run] of operations) {
      await assert.rejects(run(store, "A".repeat(43)), { name: "RedisUnavailableError", message: "closed" }, operation);
    }
  });
});

describe("an operation whose reply is lost", () => {
  test("is not sent again", async () => {
    const { store, prefix } = openStore(redis);
    const id = await store.createSession();
    const losing: RedisScripting = {
      evalSha: async (...command) => {
        await redis.evalSha(...command);
        throw new Error("Socket closed unexpectedly");
      },
      eval: (...command) => redis.eval(...command),
    };
    const lost = new RedisSessionStore({ redis: losing, prefix });
    await assert.rejects(lost.incrementField(id, "page_views"), RedisUnavailableError);
    assert.equal((await store.getSession(id))!["page_views"], "1");
  });
});

describe("timeoutMs", () => {
  const SHORT_MS = 200;

  test("ends every operation while Redis hangs, with a client that has no settings, and all is well afterwards", async (t) => {
    const hung = await spawnRedis(t);
    const client = createClient({ socket: { host: "127.0.0.1", port: hung.port } }).on("error", () => {});
    await client.connect();
    t.after(() => client.destroy());
    const store = new RedisSessionStore({ redis: client, timeoutMs: SHORT_MS });
    const id = await store.createSession({ username: "andrew" });
    hung.hang();
    for (const [operation, run] of operations) {
      const message = `Redis did not reply within ${SHORT_MS} ms`;
      await assert.rejects(run(store, id), { name: "RedisUnavailableError", message }, operation);
    }
    hung.resume();
    assert.ok(await until(async () => (await store.createSession().catch(() => null)) !== null));
  });

  test("ends every operation that waits in the client's queue for a connection", async (t) => {
    const killed = await spawnRedis(t);
    const client = createClient({ socket: { host: "127.0.0.1", port: killed.port } }).on("error", () => {});
    await client.connect();
    t.after(() => client.destroy());
    const store = new RedisSessionStore({ redis: client, timeoutMs: SHORT_MS });
    const id = await store.createSession({ username: "andrew" });
    await killed.kill();
    for (const [operation, run] of operations) await assert.rejects(run(store, id), RedisUnavailableError, operation);
    await killed.start();
    assert.ok(await until(async () => (await store.createSession().catch(() => null)) !== null));
  });

  test("counts for a rotation as a whole, and a rotation that was cut off creates no session later", async () => {
    const { store, prefix } = openStore(redis);
    const id = await store.createSession();
    const slow: RedisScripting = {
      evalSha: async (...command) => {
        const reply = await redis.evalSha(...command);
        await sleep(2 * SHORT_MS);
        return reply;
      },
      eval: (...command) => redis.eval(...command),
    };
    const rotating = new RedisSessionStore({ redis: slow, prefix, timeoutMs: SHORT_MS });
    await assert.rejects(rotating.rotateSession(id), RedisUnavailableError);
    await sleep(4 * SHORT_MS);
    assert.deepEqual(await redis.keys(`${prefix}*`), []);
  });

  for (const ms of [SHORT_MS + 20, 5 * SHORT_MS]) {
    test(`does not blame Redis if our own event loop was blocked for ${ms} ms`, async () => {
      const { plain } = openStore(redis, { timeoutMs: SHORT_MS });
      const id = await plain.createSession({ username: "andrew" });
      const reads = Array.from({ length: 50 }, () => plain.getSession(id));
      for (const end = performance.now() + ms; performance.now() < end;);
      for (const session of await Promise.all(reads)) assert.equal(session!["username"], "andrew");
    });
  }
});
