import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { describe, test } from "node:test";
import type { RedisScripting } from "../../session-store.ts";
import { UserSessions, type UserSessionsOptions } from "../../user-sessions.ts";
import { openRedis, openServer } from "../redis-connection.ts";
import { keysLike, newPrefix, NO_HURRY } from "../store-under-test.ts";

const { redis } = await openRedis();
const SOME_HUNDRED = 300;
const MANY = 40_000;
const NO_TIME_LIMIT = 600_000; // The machine may be busy.
const now = () => Math.floor(Date.now() / 1000);

function openSessions(options: Partial<UserSessionsOptions> = {}) {
  const prefix = newPrefix();
  const load = { mostArguments: 0, underWay: 0, mostUnderWay: 0, commands: 0 };
  const measuring: RedisScripting = {
    evalSha: async (sha1, input) => {
      load.mostArguments = Math.max(load.mostArguments, input.arguments.length);
      load.underWay += 1;
      load.commands += 1;
      load.mostUnderWay = Math.max(load.mostUnderWay, load.underWay);
      return redis.evalSha(sha1, input).finally(() => (load.underWay -= 1));
    },
    eval: (...command) => redis.eval(...command),
  };
  const sessions = new UserSessions({ redis: measuring, prefix, timeoutMs: NO_TIME_LIMIT, ...options });
  const indexKey = `${prefix}user:${createHash("sha256").update("andrew").digest("base64url")}`;
  return { sessions, prefix, indexKey, load, logIn, addStaleEntries, addSessions };

  function logIn(name = "", absoluteTtl?: number) {
    return sessions.createSession({ name }, { user: "andrew", absoluteTtl });
  }

  /** Entries of sessions that ended by the idle timeout. */
  async function addStaleEntries(count: number): Promise<void> {
    for (let left = count; left > 0; left -= 1000) {
      const members = Array.from({ length: Math.min(left, 1000) }, () => randomUUID());
      await redis.zAdd(
        indexKey,
        members.map((value, i) => ({ score: now() + 1000 + i + 0.12345, value })),
      );
    }
    await redis.expire(indexKey, 1000);
  }

  async function addSessions(count: number): Promise<void> {
    for (let left = count; left > 0; left -= 100) await Promise.all(Array.from({ length: 100 }, () => logIn()));
  }
}

describe("a user with many entries of sessions that are gone", () => {
  test(`is listed in bounded steps, which remove them: ${MANY} entries`, async () => {
    const { sessions, indexKey, load, logIn, addStaleEntries } = openSessions();
    await addStaleEntries(MANY);
    await logIn("phone");
    const list = await sessions.listSessions("andrew");
    assert.deepEqual(
      list.map(({ session }) => session["name"]),
      ["phone"],
    );
    assert.equal(await redis.zCard(indexKey), 1);
    assert.ok(load.mostArguments <= SOME_HUNDRED, `${load.mostArguments} arguments`);
    assert.ok(load.mostUnderWay <= SOME_HUNDRED, `${load.mostUnderWay} commands under way`);
  });

  test("gets a limited list, though those with the latest deadlines are gone", async () => {
    const { sessions, logIn, addStaleEntries } = openSessions();
    const ids: string[] = [];
    for (const absoluteTtl of [100, 200, 300]) ids.push(await logIn("", absoluteTtl));
    await addStaleEntries(1000);
    const list = await sessions.listSessions("andrew", { limit: 2 });
    assert.deepEqual(
      list.map(({ handle }) => handle),
      [ids[2], ids[1]].map((id) => sessions.handleOf(id!)),
    );
  });

  test("logs in with maxSessions in bounded steps, which end no session", async () => {
    const { sessions, indexKey, load, logIn, addStaleEntries } = openSessions({ maxSessions: 2 });
    const id = await logIn();
    await addStaleEntries(2000);
    await logIn();
    assert.ok(await sessions.getSession(id));
    assert.equal(await redis.zCard(indexKey), 2);
    assert.ok(load.mostArguments <= SOME_HUNDRED, `${load.mostArguments} arguments`);
    assert.ok(load.mostUnderWay <= SOME_HUNDRED, `${load.mostUnderWay} commands under way`);
  });

  test("has fewer after each log-in", async () => {
    const { indexKey, logIn, addStaleEntries } = openSessions();
    await addStaleEntries(400);
    for (let i = 0; i < 200; i++) await logIn();
    const [entries, alive] = [await redis.zCard(indexKey), 200];
    assert.ok(entries <= 1.5 * alive, `${entries} entries of ${alive} sessions`);
  });
});

test("ending more sessions than the time limit allows says how many were ended, and stops; the next call ends more", async () => {
  const { prefix, addSessions } = openSessions();
  await addSessions(600);
  for (const left of [350, 100]) {
    let commands = 0;
    let deletions = 0;
    const hanging: RedisScripting = {
      evalSha: (sha1, input) => {
        commands += 1;
        if (input.arguments[0] === "delete") deletions += 1;
        return deletions <= 250 ? redis.evalSha(sha1, input) : new Promise(() => {});
      },
      eval: (...command) => redis.eval(...command),
    };
    const slow = new UserSessions({ redis: hanging, prefix, timeoutMs: 5000 });
    await assert.rejects(slow.endSessions("andrew"), {
      code: "REDIS_UNAVAILABLE",
      message: "250 sessions were ended, but not all: Redis did not reply within 5000 ms",
    });
    const sent = commands;
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(commands, sent, "it goes on after its time limit");
    assert.equal((await keysLike(redis, `${prefix}*`)).length, left + 1);
  }
  assert.equal(await new UserSessions({ redis, prefix, ...NO_HURRY }).endSessions("andrew"), 100);
});

test("ending more sessions than the time limit allows is no success if the event loop is blocked until after it", async () => {
  const { prefix, addSessions } = openSessions();
  await addSessions(300);
  let deletions = 0;
  const blocking: RedisScripting = {
    evalSha: async (sha1, input) => {
      const reply = await redis.evalSha(sha1, input);
      if (input.arguments[0] === "delete") deletions += 1;
      if (deletions === 250) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5100);
      return reply;
    },
    eval: (...command) => redis.eval(...command),
  };
  const blocked = new UserSessions({ redis: blocking, prefix, timeoutMs: 5000 });
  await assert.rejects(blocked.endSessions("andrew"), {
    code: "REDIS_UNAVAILABLE",
    message: "250 sessions were ended, but not all: more than 5000 ms have passed",
  });
  assert.equal(await new UserSessions({ redis, prefix, ...NO_HURRY }).endSessions("andrew"), 50);
});

test("ending all sessions a hundred times at once ends each once", async () => {
  const { sessions, prefix, load, addSessions } = openSessions();
  await addSessions(100);
  const counts = await Promise.all(Array.from({ length: 100 }, () => sessions.endSessions("andrew")));
  assert.equal(
    counts.reduce((sum, count) => sum + count),
    100,
  );
  assert.deepEqual(await keysLike(redis, `${prefix}*`), []);
  assert.ok(load.mostArguments <= SOME_HUNDRED);
});

test("sessions of the same second are listed in the order of the log-ins, also after rotations", async () => {
  const { sessions, logIn } = openSessions();
  const ids: string[] = [];
  for (let i = 0; i < 60; i++) ids.unshift(await logIn());
  for (let i = 0; i < ids.length; i += 7) ids[i] = (await sessions.rotateSession(ids[i]))!;
  const list = await sessions.listSessions("andrew");
  assert.deepEqual(
    list.map(({ handle }) => handle),
    ids.map((id) => sessions.handleOf(id)),
  );
});

test("entries with one score are all listed, however many", async () => {
  const { sessions, indexKey, addSessions } = openSessions();
  await addSessions(1000);
  for (const member of await redis.zRange(indexKey, 0, -1))
    await redis.zAdd(indexKey, { score: now() + 1000, value: member });
  assert.equal((await sessions.listSessions("andrew")).length, 1000);
  assert.equal((await sessions.listSessions("andrew", { limit: 300 })).length, 300);
});

describe("a session that is marked while its user's sessions are listed is not in the list", () => {
  test("if the list ends it, but gets no reply", async () => {
    const { prefix, indexKey, logIn } = openSessions();
    const [first, second] = [await logIn(), await logIn()]; // the members of the index
    await redis.zAdd(indexKey, { score: -now() - 1000, value: first });
    const losing: RedisScripting = {
      evalSha: async (sha1, input) => {
        const isDeletion = input.arguments[0] === "delete";
        if (isDeletion) await redis.zAdd(indexKey, { score: -now() - 1000, value: second });
        const reply = await redis.evalSha(sha1, input);
        if (isDeletion && input.keys[0]!.endsWith(second)) throw new Error("the connection is lost");
        return reply;
      },
      eval: (...command) => redis.eval(...command),
    };
    assert.deepEqual(await new UserSessions({ redis: losing, prefix, ...NO_HURRY }).listSessions("andrew"), []);
  });

  test("if it was alive when the list read it for the first time", async () => {
    const { sessions, prefix, indexKey, logIn, addStaleEntries } = openSessions();
    const id = await logIn();
    await addStaleEntries(1); // so the index is read again
    let reads = 0;
    const marking: RedisScripting = {
      evalSha: async (sha1, input) => {
        if (input.arguments[0] === "list") reads += 1;
        if (reads === 2) await redis.zAdd(indexKey, { score: -now() - 1000, value: id });
        return redis.evalSha(sha1, input);
      },
      eval: (...command) => redis.eval(...command),
    };
    assert.deepEqual(await new UserSessions({ redis: marking, prefix, ...NO_HURRY }).listSessions("andrew"), []);
    assert.equal(await sessions.getSession(id), null);
  });
});

async function openRefusing() {
  const { redis: own } = await openServer();
  const sessions = new UserSessions({ redis: own, ...NO_HURRY });
  const logIn = () => sessions.createSession({}, { user: "andrew" });
  const indexKey = `session:user:${createHash("sha256").update("andrew").digest("base64url")}`;
  const keys = async () => (await keysLike(own, "*")).toSorted();
  return { own, sessions, logIn, indexKey, keys };
}

describe("where Redis refuses writes", () => {
  test("a refused log-in leaves no key", async () => {
    const { own, logIn, keys } = await openRefusing();
    await logIn();
    const before = await keys();
    for (const [option, value, usual] of [
      ["maxmemory", "1", "0"],
      ["min-replicas-to-write", "1", "0"],
    ] as const) {
      await own.configSet(option, value);
      await assert.rejects(logIn(), { code: "REDIS_UNAVAILABLE" });
      await own.configSet(option, usual);
      assert.deepEqual(await keys(), before);
    }
    await own.flushAll();
    await own.configSet("maxmemory", "1");
    await assert.rejects(logIn(), { code: "REDIS_UNAVAILABLE", message: /^OOM / });
    assert.deepEqual(await keys(), []);
  });

  test("a list shows the sessions, also one that is marked, though nothing can be removed", async () => {
    const { own, sessions, logIn, indexKey } = await openRefusing();
    const [gone, marked, kept] = [await logIn(), await logIn(), await logIn()];
    await own.del(sessions.keyOf(gone));
    await own.zAdd(indexKey, { score: -now() - 1000, value: marked });
    await own.configSet("min-replicas-to-write", "1");
    const handles = async () => (await sessions.listSessions("andrew")).map(({ handle }) => handle);
    assert.deepEqual((await handles()).toSorted(), [marked, kept].map((id) => sessions.handleOf(id)).toSorted());
    assert.equal(await own.zCard(indexKey), 3);
    await own.configSet("min-replicas-to-write", "0");
    assert.deepEqual(await handles(), [sessions.handleOf(kept)]);
    assert.equal(await own.zCard(indexKey), 1);
  });
});
