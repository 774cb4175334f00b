/** What the connection logs when Redis replies and refuses: one line with the reason, and one when it is over. */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { RedisTarget } from "../../redis-connection/index.ts";
import { REDIS_TIME_LIMITS } from "../../redis-connection/time-limits.ts";
import { digestOf, RedisSessionStore } from "../../session-store.ts";
import { UserSessions } from "../../user-sessions.ts";
import { PASSWORD, RULES, USER } from "../redis-acl.ts";
import { spawnCluster } from "../redis-cluster.ts";
import { connectPatiently } from "../redis-connection.ts";
import { type SpawnedRedis, spawnRedis } from "../redis-process.ts";
import { NO_HURRY } from "../store-under-test.ts";
import { until } from "../wait.ts";

async function open(t: TestContext, target: RedisTarget) {
  const log: string[] = [];
  const redis = await connectPatiently({ host: "127.0.0.1", ...target }, { log: (line) => log.push(line) });
  t.after(() => redis.close());
  const store = new RedisSessionStore({ redis, ...NO_HURRY });
  const create = () =>
    store.createSession({ username: "ada" }).then(
      () => true,
      () => false,
    );
  return { redis, log, store, create };
}

/** Waits for a few checks, in which the log could repeat itself. */
const someChecks = () => sleep(5 * REDIS_TIME_LIMITS.checkEveryMs);

describe("a Redis that refuses writes", { concurrency: 4, timeout: 900_000 }, () => {
  const refusals: [code: string, begin: (redis: SpawnedRedis) => unknown, end: (redis: SpawnedRedis) => unknown][] = [
    [
      "OOM",
      ({ send }) => send("CONFIG", "SET", "maxmemory", "1"),
      ({ send }) => send("CONFIG", "SET", "maxmemory", "0"),
    ],
    [
      "NOREPLICAS",
      ({ send }) => send("CONFIG", "SET", "min-replicas-to-write", "1"),
      ({ send }) => send("CONFIG", "SET", "min-replicas-to-write", "0"),
    ],
    ["MISCONF", failToSave, ({ send }) => send("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")],
    [
      "NOPERM",
      ({ send }) => send("ACL", "SETUSER", "default", "-eval"),
      ({ send }) => send("ACL", "SETUSER", "default", "+eval"),
    ],
  ];
  for (const [code, begin, end] of refusals) {
    test(`is logged once, and once when it is over: ${code}`, async (t) => {
      const spawned = await spawnRedis(t);
      const { log, create } = await open(t, { port: spawned.port });
      await create();
      await begin(spawned);
      if (code === "NOPERM") await spawned.send("SCRIPT", "FLUSH");
      assert.equal(await create(), false);
      assert.ok(await until(() => log.length > 0));
      await Promise.all([create(), create(), someChecks()]);
      assert.match(log.join("\n"), new RegExp(`^Redis is unavailable: ${code} .+$`));
      await end(spawned);
      assert.ok(await until(() => log.length > 1));
      await someChecks();
      assert.deepEqual(log.slice(1), ["Redis is back"]);
    });
  }
});

/** The file of a snapshot cannot be written, because a folder has its name. */
async function failToSave({ send }: SpawnedRedis): Promise<void> {
  const { dir } = (await send("CONFIG", "GET", "dir")) as { dir: string };
  await mkdir(join(dir, "dump.rdb"));
  await send("CONFIG", "SET", "save", "3600 1");
  await send("BGSAVE");
  const hasFailed = async () => String(await send("INFO", "persistence")).includes("rdb_last_bgsave_status:err");
  assert.ok(await until(hasFailed), "The snapshot does not fail");
}

test("one command that the user may not run is logged once, and once when it is accepted again", async (t) => {
  const { port, send } = await spawnRedis(t);
  const setRules = (...rules: string[]) => send("ACL", "SETUSER", USER, "on", `>${PASSWORD}`, ...rules);
  await setRules(...RULES);
  const { log, store, create } = await open(t, { port, username: USER, password: PASSWORD });
  const id = await store.createSession();
  await setRules("-pexpireat");
  for (let times = 0; times < 3; times++) {
    assert.equal(await create(), false);
    assert.ok(await store.getSession(id, { refreshTtl: false })); // other commands succeed meanwhile
    await someChecks();
  }
  assert.match(log.join("\n"), /^Redis refuses a command: NOPERM .+$/);
  await setRules("+pexpireat");
  assert.equal(await create(), true);
  assert.deepEqual(log.slice(1), ["Redis accepts the command again"]);
});

test("a node of a cluster that is taken for a single server is logged once, and not as over", async (t) => {
  const { nodes } = await spawnCluster(t, { replicas: 0 });
  const { log, create } = await open(t, { port: nodes[0]!.port });
  const results = [];
  for (let times = 0; times < 50; times++) results.push(await create());
  await someChecks();
  await Promise.all(Array.from({ length: 50 }, create));
  assert.deepEqual(new Set(results), new Set([true, false]));
  assert.match(log.join("\n"), /^Redis refuses a command: MOVED \d+ 127\.0\.0\.1:\d+$/);
});

test("an index of a user's sessions that is of another type is logged once, and not as over", async (t) => {
  const { port, send } = await spawnRedis(t);
  const { redis, log } = await open(t, { port });
  const sessions = new UserSessions({ redis, ...NO_HURRY });
  await send("SET", `session:user:${digestOf("ada")}`, "text");
  for (let times = 0; times < 3; times++) {
    await assert.rejects(sessions.createSession({}, { user: "ada" }));
    await someChecks();
    await sessions.createSession({}, { user: "bob" });
  }
  assert.match(log.join("\n"), /^Redis refuses a command: WRONGTYPE .+$/);
});

test("READONLY of a server that is no replica replaces no connection, and is logged once, as is another refusal at the same time", async (t) => {
  const { port, send } = await spawnRedis(t);
  const { redis, log } = await open(t, { port });
  const connections = async () =>
    Number(/total_connections_received:(\d+)/.exec(String(await send("INFO", "stats")))?.[1]);
  const refuse = (code: string) => () =>
    redis.eval(`return redis.error_reply("${code} of a script")`, { keys: [], arguments: [] });
  const before = await connections();
  for (let times = 0; times < 4; times++) {
    for (const code of ["READONLY", "NOPERM"]) {
      await assert.rejects(refuse(code), { message: `${code} of a script` });
      await someChecks();
    }
    await redis.eval("return 1", { keys: [], arguments: ["another"] });
    await someChecks();
  }
  assert.equal(await connections(), before + 1); // the one that asks
  const expected = ["READONLY", "NOPERM"].map((code) => `Redis refuses a command: ${code} of a script`);
  assert.deepEqual(log, expected);
});

test("what is wrong with the data is no refusal", async (t) => {
  const { port, send } = await spawnRedis(t);
  const { log, store } = await open(t, { port });
  const id = await store.createSession({ name: "ada", count: Number.MAX_SAFE_INTEGER });
  await assert.rejects(store.incrementField(id, "name"), TypeError);
  await assert.rejects(store.incrementField(id, "count"), RangeError);
  await send("SET", store.keyOf("x".repeat(43)), "text");
  assert.equal(await store.getSession("x".repeat(43)), null);
  await someChecks();
  assert.deepEqual(log, []);
});

test("no line contains a session ID, a value or a password, also if Redis repeats them", async (t) => {
  const { port, send } = await spawnRedis(t);
  await send("ACL", "SETUSER", "ada", "on", ">s3cret-pass", "~*", "+@all");
  const { redis, log } = await open(t, { port, username: "ada", password: "s3cret-pass" });
  const [id, value] = ["session:s3cret-id", "s3cret-value"];
  for (const secret of [id, value, "s3cret-pass"]) {
    const script = `return redis.error_reply("${secret.length}REFUSED ${secret}")`;
    await assert.rejects(redis.eval(script, { keys: [id], arguments: [secret, value] }));
    await someChecks();
  }
  assert.equal(log.length, 3);
  assert.doesNotMatch(log.join("\n"), /s3cret/);
});
