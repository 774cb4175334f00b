import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "redis";
import { type RedisScripting, RedisSessionStore, RedisUnavailableError } from "../../session-store.ts";
import { type Client, openRedis, openServer } from "../redis-connection.ts";
import { type Lifetime } from "../child-process.ts";
import { spawnRedis } from "../redis-process.ts";
import { LONG_AGO, neglect, openStore, snapshot } from "../store-under-test.ts";
import { until } from "../wait.ts";
import { enders, onSession, SOME_ID, storedSession, writes } from "./every-operation.ts";

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

  test("if Redis is a replica that must not serve stale data, and has lost its master", async () => {
    const replica = await openServer();
    const { plain } = openStore(replica.redis);
    const id = await plain.createSession();
    await replica.redis.configSet("replica-serve-stale-data", "no");
    await replica.redis.sendCommand(["REPLICAOF", "127.0.0.1", "1"]);
    for (const [operation, run] of operations) await assert.rejects(run(plain, id), RedisUnavailableError, operation);
  });
});

describe("a Redis that takes no writes", () => {
  const states: [state: string, code: RegExp, begin: (client: Client, folder: string) => Promise<unknown>][] = [
    ["because a snapshot failed", /MISCONF/, failToSnapshot],
    ["because it is a replica", /READONLY/, (client) => client.sendCommand(["REPLICAOF", "127.0.0.1", "1"])],
    ["because it has too few replicas", /NOREPLICAS/, (client) => client.configSet("min-replicas-to-write", "1")],
  ];
  for (const [state, message, begin] of states) {
    test(`${state} lets sessions be read as they are, and refuses the rest, which changes nothing`, async (t) => {
      const folder = await mkdtemp(join(tmpdir(), "test-redis-"));
      t.after(() => rm(folder, { recursive: true }));
      const { port } = await spawnRedis(t, ["--save", "3600 1", "--dir", folder]);
      const client = await openClient(t, port);
      const { plain, prefix, key } = openStore(client, { ttl: 600 });
      const id = await plain.createSession({ username: "andrew" });
      await neglect(client, key(id), 100);
      const ofAnotherDemo = "B".repeat(43);
      const { session_deadline: _, ...fields } = storedSession(0);
      await client.multi().hSet(key(ofAnotherDemo), fields).expire(key(ofAnotherDemo), 50).exec();
      const withoutExpiry = "C".repeat(43);
      await client.hSet(key(withoutExpiry), storedSession(1000));
      const before = await Promise.all([id, ofAnotherDemo, withoutExpiry].map((each) => snapshot(client, key(each))));

      await begin(client, folder);
      for (const refreshTtl of [true, false]) {
        const { username, ttl, last_accessed_at } = (await plain.getSession(id, { refreshTtl }))!;
        assert.deepEqual([username, last_accessed_at], ["andrew", LONG_AGO]);
        assert.ok(Number(ttl) <= 100, ttl);
        assert.equal((await plain.getSession(ofAnotherDemo, { refreshTtl }))!["username"], "grace");
        const unavailable = { name: "RedisUnavailableError", message };
        await assert.rejects(plain.getSession(withoutExpiry, { refreshTtl }), unavailable, "it may be dead");
      }
      for (const [operation, run] of [...writes, ...enders]) {
        await assert.rejects(run(plain, id), { name: "RedisUnavailableError", message }, operation);
      }
      assert.deepEqual(
        await Promise.all([id, ofAnotherDemo, withoutExpiry].map((each) => snapshot(client, key(each)))),
        before,
      );
      assert.equal((await client.keys(`${prefix}*`)).length, 3);
    });
  }

  test("because memory is full lets sessions be read and ended, and refuses the rest, which changes nothing", async () => {
    const full = await openServer();
    const { store, prefix, key } = openStore(full.redis);
    const id = await store.createSession();
    const { session_deadline: _, ...ofAnotherDemo } = storedSession(0);
    await full.redis.multi().hSet(key(SOME_ID), ofAnotherDemo).expire(key(SOME_ID), 50).exec();
    await full.redis.configSet("maxmemory", "1");
    for (const [operation, run] of [...writes, enders[0]!]) {
      await assert.rejects(run(store, id), { name: "RedisUnavailableError", message: /OOM/ }, operation);
    }
    assert.equal((await full.redis.keys(`${prefix}*`)).length, 2);
    await full.redis.expire(key(id), 100);
    assert.equal((await store.getSession(id))!.ttl, "1800", "the idle timeout is reset");
    assert.equal((await store.getSession(SOME_ID))!["username"], "grace");
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

  test("counts for each operation from its own start, and leaves no timer behind", async (t) => {
    const hung = await spawnRedis(t);
    const client = await openClient(t, hung.port);
    const { plain, prefix } = openStore(client, { timeoutMs: SHORT_MS });
    const id = await plain.createSession();
    hung.hang();
    const waits = Array.from({ length: 20 }, async (_, i) => {
      await sleep(i * 20);
      const start = performance.now();
      await assert.rejects(plain.getSession(id), RedisUnavailableError);
      return performance.now() - start;
    });
    for (const milliseconds of await Promise.all(waits)) assert.ok(milliseconds > SHORT_MS - 2, `${milliseconds} ms`);
    hung.resume();
    const minute = openStore(client, { prefix, timeoutMs: 60_000 }).plain;
    assert.notEqual(await minute.getSession(id), null);
    assert.ok(await until(async () => timers() === 0));
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

async function openClient(t: Lifetime, port: number): Promise<Client> {
  const client = createClient({ socket: { host: "127.0.0.1", port }, RESP: 2 });
  await client.on("error", () => {}).connect();
  t.after(() => client.destroy());
  return Object.assign(client, { servers: () => [client] }) as unknown as Client;
}

function timers(): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === "Timeout").length;
}

/** Where the snapshot should be is a folder. */
async function failToSnapshot(client: Client, folder: string): Promise<void> {
  await mkdir(join(folder, "dump.rdb"));
  await client.sendCommand(["BGSAVE"]);
  const hasFailed = async () => (await client.info("persistence")).includes("rdb_last_bgsave_status:err");
  assert.ok(await until(hasFailed));
}
