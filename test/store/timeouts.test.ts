import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { costOf } from "../command-statistics.ts";
import { openRedis } from "../redis-connection.ts";
import { LONG_AGO, neglect, openStore, snapshot } from "../store-under-test.ts";
import { enders, onSession, peeks, refreshing, SOME_ID, storedSession } from "./every-operation.ts";

const { redis } = await openRedis();

/** When the session's deadline is, in Unix milliseconds. */
const deadlineOf = async (key: string) => Number(await redis.hGet(key, "session_deadline")) * 1000;
const assertAbove = (actual: number, limit: number) => assert.ok(actual > limit, `${actual} is not above ${limit}`);

describe("the idle timeout", () => {
  test("is that of the store, or the session's own", async () => {
    const { store } = openStore(redis, { ttl: 40 });
    assert.equal(await store.getConfiguredTtl(await store.createSession()), 40);
    assert.equal(await store.getConfiguredTtl(await store.createSession({}, { ttl: 50 })), 50);
  });

  test("begins in full when the session is created", async () => {
    const { store, key } = openStore(redis, { ttl: 30 });
    const [seconds, microseconds] = (await redis.time()).map(Number);
    const id = await store.createSession();
    assertAbove((await redis.pExpireTime(key(id))) + 1, seconds! * 1000 + Math.floor(microseconds! / 1000) + 30_000);
  });

  for (const [operation, run] of refreshing) {
    test(`is reset by ${operation}, which writes last_accessed_at`, async () => {
      const { store, key } = openStore(redis, { ttl: 20 });
      const id = await store.createSession();
      await neglect(redis, key(id), 10);
      await run(store, id);
      assertAbove(await redis.pTTL(key(id)), 10_000);
      assert.notEqual(await redis.hGet(key(id), "last_accessed_at"), LONG_AGO);
    });
  }

  for (const [operation, run] of peeks) {
    test(`is not reset by ${operation}, which changes nothing`, async () => {
      const { store, key } = openStore(redis);
      const id = await store.createSession();
      await neglect(redis, key(id), 20);
      const before = await snapshot(redis, key(id));
      await run(store, id);
      assert.deepEqual(await snapshot(redis, key(id)), before);
    });
  }

  test("is reset at most once a second", async () => {
    const { plain, key } = openStore(redis, { ttl: 600 });
    const id = await plain.createSession();
    await neglect(redis, key(id), 50);
    const { commands } = await costOf(redis, () => Promise.all(Array.from({ length: 20 }, () => plain.getSession(id))));
    assert.deepEqual([commands["evalsha"], commands["pexpire"], commands["hset"]], [20, 1, 1]);
  });

  for (const [ttl, milliseconds] of [
    [600, 1000],
    [20, 1000],
    [10, 500],
    [2, 100],
    [1, 50],
  ] as const) {
    test(`of ${ttl} s is reset if ${milliseconds} ms have passed since the last reset`, async () => {
      const { plain, key } = openStore(redis);
      const id = await plain.createSession();
      const [, , session] = await Promise.all([
        redis.hSet(key(id), { last_accessed_at: LONG_AGO, session_ttl: String(ttl) }),
        redis.pExpire(key(id), ttl * 1000 - milliseconds),
        plain.getSession(id),
      ]);
      assert.notEqual(session!.last_accessed_at, LONG_AGO);
    });
  }

  test("ends an idle session even if its ID is still sent", async () => {
    const { store, key } = openStore(redis, { ttl: 1 });
    const id = await store.createSession();
    await sleep(1100);
    assert.equal(await store.getSession(id), null);
    assert.equal(await redis.exists(key(id)), 0);
  });

  test("does not end a session that is read", async () => {
    const { store, key } = openStore(redis, { ttl: 60 });
    const id = await store.createSession();
    const expiry = await redis.pExpireTime(key(id));
    await sleep(1100);
    assert.notEqual(await store.getSession(id), null);
    assertAbove(await redis.pExpireTime(key(id)), expiry + 1000);
  });

  const spoil: [what: string, spoilExpiry: (key: string) => Promise<unknown>][] = [
    ["removed", (key) => redis.persist(key)],
    ["moved too far", (key) => redis.expire(key, 1000)],
  ];
  for (const [what, spoilExpiry] of spoil) {
    for (const [operation, run] of onSession) {
      test(`is put right by ${operation} if somebody has ${what} the expiry`, async () => {
        const { store, key } = openStore(redis, { ttl: 50 });
        const id = await store.createSession();
        await spoilExpiry(key(id));
        const result = await run(store, id);
        const left = await redis.pTTL(key(typeof result === "string" ? result : id));
        if (operation === "deleteSession") assert.equal(left, -2);
        else assert.ok(left > 0 && left <= 50_000, String(left));
      });
    }
  }
});

describe("the absolute timeout", () => {
  test('is that of the store, or the session\'s own, as for "remember me"', async () => {
    const { store, key } = openStore(redis, { ttl: 60, absoluteTtl: 100 });
    const [now] = await redis.time();
    const usual = await store.createSession();
    const remembered = await store.createSession({}, { ttl: 5000, absoluteTtl: 9000 });
    for (const [id, seconds] of [
      [usual, 100],
      [remembered, 9000],
    ] as const) {
      const deadline = (await deadlineOf(key(id))) / 1000 - Number(now);
      assert.ok(deadline >= seconds && deadline < seconds + 60, String(deadline));
    }
    assert.equal(await store.getConfiguredTtl(remembered), 5000);
  });

  test("is rounded up to the next second, never down", async () => {
    const { store, key } = openStore(redis, { absoluteTtl: 60 });
    const milliseconds = async () => {
      const [seconds, microseconds] = (await redis.time()).map(Number);
      return seconds! * 1000 + microseconds! / 1000;
    };
    for (let i = 0; i < 10; i++) {
      const earliest = await milliseconds();
      const id = await store.createSession();
      const deadline = await deadlineOf(key(id));
      assert.ok(deadline >= earliest + 60_000, `${deadline} is too early`);
      assert.ok(deadline <= (await milliseconds()) + 61_000, `${deadline} is too late`);
    }
  });

  test("lowers the idle timeout of a store or a session that names none", async () => {
    const { store } = openStore(redis, { absoluteTtl: 600 });
    assert.equal(await store.getConfiguredTtl(await store.createSession()), 600);
    assert.equal(await store.getConfiguredTtl(await store.createSession({}, { absoluteTtl: 60 })), 60);
  });

  for (const [operation, run] of refreshing) {
    test(`caps the expiry that ${operation} sets`, async () => {
      const { store, key } = openStore(redis, { ttl: 60 });
      await redis.hSet(key(SOME_ID), storedSession(30));
      await redis.expire(key(SOME_ID), 5);
      await run(store, SOME_ID);
      assert.equal(await redis.pExpireTime(key(SOME_ID)), await deadlineOf(key(SOME_ID)));
    });
  }

  test("caps the expiry of a new session", async () => {
    const { store, key } = openStore(redis, { ttl: 60, absoluteTtl: 60 });
    const id = await store.createSession();
    assert.ok((await redis.pExpireTime(key(id))) <= (await deadlineOf(key(id))));
  });

  test("is kept by a rotation", async () => {
    const { store, key } = openStore(redis, { ttl: 60 });
    await redis.hSet(key(SOME_ID), storedSession(30));
    await redis.expire(key(SOME_ID), 5);
    const deadline = await deadlineOf(key(SOME_ID));
    const id = await store.rotateSession(SOME_ID);
    assert.equal(await deadlineOf(key(id!)), deadline);
    assert.equal(await redis.pExpireTime(key(id!)), deadline);
  });

  test("lets last_accessed_at be written, once a second, after it has stopped the expiry from moving", async () => {
    const { plain, key } = openStore(redis, { ttl: 600 });
    await redis.hSet(key(SOME_ID), storedSession(300, { session_ttl: "600" }));
    await redis.pExpireAt(key(SOME_ID), await deadlineOf(key(SOME_ID)));
    assert.notEqual((await plain.getSession(SOME_ID))!.last_accessed_at, LONG_AGO);
    const start = Date.now();
    const { commands } = await costOf(redis, async () => {
      for (let i = 0; i < 100; i++) await plain.getSession(SOME_ID);
    });
    const seconds = Math.ceil((Date.now() - start) / 1000);
    assert.ok((commands["hset"] ?? 0) <= seconds, `${commands["hset"]} writes in ${seconds} s`);
  });

  for (const [operation, run, none] of onSession) {
    test(`has ended the session for ${operation}, even if somebody removed the expiry`, async () => {
      const { store, key } = openStore(redis, { ttl: 60 });
      await redis.hSet(key(SOME_ID), storedSession(-1));
      const result = await run(store, SOME_ID);
      assert.equal(await redis.exists(key(SOME_ID)), 0);
      if (operation !== "deleteSession") assert.equal(result, none); // there was a key to delete
    });
  }

  for (const text of ["nan", "inf", "1e18", "1800000000.0005", "-5", "", "soon"]) {
    for (const [expiry, operations] of [
      ["removed the expiry", onSession],
      ["left the expiry", [...refreshing, ...enders]],
    ] as const) {
      for (const [operation, run] of operations) {
        test(`begins again with ${operation} if somebody has written the deadline "${text}" and ${expiry}`, async () => {
          const { store, key } = openStore(redis, { ttl: 60 });
          await redis.hSet(key(SOME_ID), storedSession(0, { session_deadline: text }));
          if (expiry === "left the expiry") await redis.expire(key(SOME_ID), 30);
          const result = await run(store, SOME_ID);
          assert.ok(result !== null && result !== false);
          if (operation === "deleteSession") return;
          assertAbove(await deadlineOf(key(typeof result === "string" ? result : SOME_ID)), Date.now());
        });
      }
    }
  }

  test("ends a session that is in use", async () => {
    const { store, key } = openStore(redis, { ttl: 60 });
    await redis.hSet(key(SOME_ID), storedSession(4));
    const deadline = await deadlineOf(key(SOME_ID));
    let session = await store.getSession(SOME_ID);
    assert.notEqual(session, null);
    while (session !== null) {
      await sleep(50);
      session = await store.getSession(SOME_ID);
    }
    const [seconds] = await redis.time();
    assert.ok(Number(seconds) * 1000 >= deadline, "not before its deadline");
  });
});

describe("application servers whose clocks differ", () => {
  test("agree on when a session ends: Redis' clock alone counts", async (t) => {
    const { store, key } = openStore(redis, { ttl: 60, absoluteTtl: 600 });
    const [seconds] = (await redis.time()).map(Number);
    for (const yearsOff of [-30, 30]) {
      t.mock.timers.enable({ apis: ["Date"], now: Date.now() + yearsOff * 365 * 86_400_000 });
      const id = await store.createSession({ username: "andrew" });
      t.mock.timers.reset();
      const deadline = (await deadlineOf(key(id))) / 1000 - seconds!;
      assert.ok(deadline >= 600 && deadline < 660, String(deadline));
      await redis.expire(key(id), 30);
      for (const clock of [0, 20, -20]) {
        t.mock.timers.enable({ apis: ["Date"], now: Date.now() + clock * 365 * 86_400_000 });
        const session = await store.getSession(id);
        t.mock.timers.reset();
        assert.ok(Number(session!.ttl) > 30 && Number(session!.ttl) <= 60, session!.ttl);
        await redis.expire(key(id), 30);
      }
      const rotated = await store.rotateSession(id);
      assert.equal((await deadlineOf(key(rotated!))) / 1000 - seconds!, deadline);
    }
  });
});
