import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import type { RedisScripting } from "../../session-store.ts";
import { UserSessions, type UserSessionsOptions } from "../../user-sessions.ts";
import { openRedis } from "../redis-connection.ts";
import { newPrefix, NO_HURRY } from "../store-under-test.ts";
import { HeldConnection } from "./scheduler.ts";

const { redis } = await openRedis();
const SOME_ID = "A".repeat(43);
const now = () => Math.floor(Date.now() / 1000);

function openSessions(maxSessions: number, options: Partial<UserSessionsOptions> = {}) {
  const prefix = newPrefix();
  const sessions = new UserSessions({ redis, prefix, maxSessions, ...NO_HURRY, ...options });
  const indexKey = `${prefix}user:${createHash("sha256").update("andrew").digest("base64url")}`;
  let absolute = 100_000;
  /** Each deadline is later than the one before. */
  const logIn = (name = "", absoluteTtl = (absolute += 10)) =>
    sessions.createSession({ name }, { user: "andrew", absoluteTtl });
  const names = async () => (await sessions.listSessions("andrew")).map(({ session }) => session["name"]);
  const isAlive = async (id: string) => (await sessions.getTtl(id)) !== null;
  return { sessions, prefix, indexKey, logIn, names, isAlive };
}

describe("a log-in beyond maxSessions", () => {
  test("ends the session with the earliest deadline", async () => {
    const { logIn, names } = openSessions(3);
    for (const [name, absoluteTtl] of [
      ["b", 2000],
      ["a", 1000],
      ["c", 3000],
      ["d", 4000],
    ] as const)
      await logIn(name, absoluteTtl);
    assert.deepEqual(await names(), ["d", "c", "b"]);
    await logIn("e", 5000);
    assert.deepEqual(await names(), ["e", "d", "c"]);
  });

  test("never ends itself, however early its own deadline", async () => {
    for (const maxSessions of [1, 2]) {
      const { logIn, names } = openSessions(maxSessions);
      for (const name of ["a", "b"]) await logIn(name);
      await logIn("short", 5000);
      assert.deepEqual(await names(), ["short", "b"].slice(0, maxSessions));
    }
  });

  test("ends none for a session that is gone", async () => {
    const { sessions, logIn, names, indexKey } = openSessions(3);
    await logIn("a");
    const [b, c] = [await logIn("b"), await logIn("c")];
    for (const id of [b, c]) await redis.del(sessions.keyOf(id));
    for (const name of ["d", "e"]) await logIn(name);
    assert.deepEqual(await names(), ["e", "d", "a"]);
    assert.equal(await redis.zCard(indexKey), 3);
  });

  test("does not count or end the session of another user that the index names", async () => {
    const { sessions, logIn, names, indexKey, isAlive } = openSessions(2);
    const hers = await sessions.createSession({}, { user: "barbara" });
    await redis.zAdd(indexKey, { score: now() + 1000, value: hers });
    for (const name of ["a", "b", "c"]) await logIn(name);
    assert.deepEqual(await names(), ["c", "b"]);
    assert.ok(await isAlive(hers));
  });

  test("does not count entries with infinite scores, and ends what is marked", async () => {
    const { logIn, names, indexKey } = openSessions(2);
    await redis.zAdd(indexKey, [
      { score: Infinity, value: SOME_ID },
      { score: -Infinity, value: SOME_ID.replace("A", "B") },
    ]);
    for (const name of ["a", "b"]) await logIn(name);
    assert.deepEqual(await names(), ["b", "a"]);
    assert.equal(await redis.zCard(indexKey), 2);
  });

  test("brings a user who has more sessions than a new, lower limit down to it", async () => {
    const { sessions, logIn, prefix, names } = openSessions(1000);
    for (let i = 0; i < 6; i++) await Promise.all(Array.from({ length: 100 }, () => logIn("old")));
    const limited = new UserSessions({ redis, prefix, maxSessions: 3, ...NO_HURRY });
    await limited.createSession({ name: "new" }, { user: "andrew" });
    assert.deepEqual(await names(), ["new", "old", "old"]);
    assert.equal(await sessions.endSessions("andrew"), 3);
  });

  test("ends what a log-in has marked that crashed before it could end it", async () => {
    const { logIn, indexKey, isAlive } = openSessions(5);
    const marked = await logIn();
    await redis.zAdd(indexKey, { score: -now() - 1000, value: marked });
    await logIn();
    assert.equal(await isAlive(marked), false);
  });

  test("leaves no more than the limit, however many log in at once", async () => {
    const { sessions, logIn, names } = openSessions(5);
    for (let round = 0; round < 20; round++) {
      const ids = await Promise.all(Array.from({ length: 12 }, () => logIn()));
      await Promise.all(ids.slice(0, 6).map((id) => sessions.rotateSession(id)));
      assert.ok((await names()).length === 5);
    }
  });
});

test("without maxSessions there is no limit", async () => {
  const sessions = new UserSessions({ redis, prefix: newPrefix(), ...NO_HURRY });
  for (let i = 0; i < 300; i++) await sessions.createSession({}, { user: "andrew" });
  assert.equal((await sessions.listSessions("andrew")).length, 300);
});

test("a rotation at the limit ends no session", async () => {
  const { sessions, logIn, names } = openSessions(2);
  const [a] = [await logIn("a"), await logIn("b")];
  assert.ok(await sessions.rotateSession(a));
  assert.deepEqual(await names(), ["b", "a"]);
});

test("a log-in takes three round trips below the limit, and five at it", async () => {
  const { sessions, prefix, logIn } = openSessions(3);
  const roundTrips = async () => {
    const connection = new HeldConnection(redis);
    const held = new UserSessions({ redis: connection, prefix, maxSessions: 3, ...NO_HURRY });
    const process = { isOver: false };
    const loggedIn = held.createSession({}, { user: "andrew" }).finally(() => (process.isOver = true));
    let count = 0;
    while (!process.isOver) {
      const commands = connection.held;
      await Promise.all(Array.from({ length: commands }, () => connection.release(0)));
      if (commands > 0) count += 1;
      await new Promise(setImmediate);
    }
    await loggedIn;
    return count;
  };
  await logIn();
  await sessions.listSessions("andrew");
  const taken = [await roundTrips(), await roundTrips(), await roundTrips(), await roundTrips()];
  assert.deepEqual(taken, [3, 3, 5, 5]);
});

for (const maxSessions of [0, -1, 1.5, NaN, Infinity, "3", null]) {
  test(`maxSessions must not be ${JSON.stringify(maxSessions) ?? String(maxSessions)}`, () => {
    assert.throws(() => openSessions(maxSessions as number), {
      name: "RangeError",
      message: /^maxSessions must be a whole number of sessions from 1 to /,
    });
  });
}

/** Peeks at these keys get no reply. */
const withoutRepliesTo = (keys: string[]): RedisScripting => ({
  evalSha: (sha1, input) =>
    input.arguments[0] === "peek" && keys.includes(input.keys[0]!) ? new Promise(() => {}) : redis.evalSha(sha1, input),
  eval: (...command) => redis.eval(...command),
});

describe("a log-in while a session cannot be peeked at", () => {
  test("is not delayed below the limit", async () => {
    const { sessions, prefix, logIn } = openSessions(5);
    const keys = [sessions.keyOf(await logIn()), sessions.keyOf(await logIn())];
    const slow = new UserSessions({ redis: withoutRepliesTo(keys), prefix, timeoutMs: 10_000 });
    assert.ok(await slow.createSession({}, { user: "andrew" }));
  });

  test("fails at the limit within its time limit, ends no session and leaves none", async () => {
    const { sessions, prefix, logIn, names, indexKey } = openSessions(2);
    const [a] = [await logIn("a"), await logIn("b")];
    const options = { redis: withoutRepliesTo([sessions.keyOf(a)]), prefix, maxSessions: 2, timeoutMs: 300 };
    await assert.rejects(new UserSessions(options).createSession({ name: "c" }, { user: "andrew" }), {
      code: "REDIS_UNAVAILABLE",
    });
    await redis.zAdd(indexKey, { score: 1e12 + now() - 70, value: (await redis.zRange(indexKey, -1, -1))[0]! });
    assert.deepEqual(await names(), ["b", "a"]);
    assert.equal(await redis.zCard(indexKey), 2);
  });
});
