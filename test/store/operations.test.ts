import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type RedisScripting,
  RedisSessionStore,
  RedisUnavailableError,
  SESSION_SCRIPT,
  type SessionValue,
} from "../../session-store.ts";
import { commandsDuring } from "../command-statistics.ts";
import { openRedis, openServer } from "../redis-connection.ts";
import { assertExpiries, LONG_AGO, neglect, openStore } from "../store-under-test.ts";

const { redis, connect } = await openRedis();

const SOME_ID = "A".repeat(43);

type OnSession = [operation: string, run: Run, none: null | false];
type Run = (store: RedisSessionStore, id: string) => Promise<unknown>;
const refreshing: OnSession[] = [
  ["getSession", (store, id) => store.getSession(id), null],
  ["updateSession", (store, id) => store.updateSession(id, { color: "red" }), false],
  ["updateSession with no field", (store, id) => store.updateSession(id, {}), false],
  ["incrementField", (store, id) => store.incrementField(id, "page_views"), null],
  ["setSessionTtl", (store, id) => store.setSessionTtl(id, 50), false],
];
const looks: OnSession[] = [
  ["getSession without refresh", (store, id) => store.getSession(id, { refreshTtl: false }), null],
  ["getTtl", (store, id) => store.getTtl(id), null],
  ["getConfiguredTtl", (store, id) => store.getConfiguredTtl(id), null],
];
const enders: OnSession[] = [
  ["rotateSession", (store, id) => store.rotateSession(id), null],
  ["deleteSession", (store, id) => store.deleteSession(id), false],
];
const onSession = [...refreshing, ...looks, ...enders];

type Planted = [what: string, plant: (key: string) => Promise<unknown>];
const snapshot = (key: string) => Promise.all([redis.dump(key), redis.pExpireTime(key)]);
/** With a message, for without one `assert.ok` looks for the failing expression in the source, which tsx has changed. */
const assertAbove = (actual: number, limit: number) => assert.ok(actual > limit, `${actual} is not above ${limit}`);
const isoSecond = (time: number) => new Date(time).toISOString().replace(/\.\d+/, "");
const byHand = (createdAt: string, fields: Record<string, string> = {}) => ({
  username: "grace",
  page_views: "3",
  session_ttl: "60",
  created_at: createdAt,
  last_accessed_at: createdAt,
  ...fields,
});

describe("creating a session", () => {
  test("gives an ID of 32 random bytes in base64url", async () => {
    const { store } = openStore(redis);
    const ids = await Promise.all(Array.from({ length: 100 }, () => store.createSession()));
    for (const id of ids) assert.match(id, /^[A-Za-z0-9_-]{43}$/);
    assert.equal(new Set(ids).size, 100);
    assert.equal(Buffer.from(ids[0]!, "base64url").length, 32);
  });

  test("keeps the guide's hash under the prefix and the ID, with an expiry", async () => {
    const { store, key } = openStore(redis);
    const id = await store.createSession({ username: "andrew", page_views: 0 }, { ttl: 15 });
    const { created_at, last_accessed_at, ...others } = await redis.hGetAll(key(id));
    assert.deepEqual({ ...others }, { username: "andrew", page_views: "0", session_ttl: "15" });
    assert.equal(last_accessed_at, created_at);
    assertAbove(await redis.pTTL(key(id)), 10_000);
  });

  test("dates it by the clock, to the second, in UTC", async () => {
    const { store, key } = openStore(redis);
    const createdAt = await redis.hGet(key(await store.createSession()), "created_at");
    assert.match(createdAt!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.ok(Math.abs(Date.parse(createdAt!) - Date.now()) < 3000, createdAt!);
  });

  test("puts it under session: and gives it 1800 seconds unless told otherwise", async () => {
    const store = new RedisSessionStore({ redis });
    const id = await store.createSession();
    await assertExpiries(redis, `session:${id}`, 2_592_000);
    assert.equal(await redis.hGet(`session:${id}`, "session_ttl"), "1800");
    assert.equal(await store.deleteSession(id), true);
  });

  test("gives it the store's idle limit, or its own", async () => {
    const { store } = openStore(redis, { ttl: 40 });
    assert.equal(await store.getConfiguredTtl(await store.createSession()), 40);
    assert.equal(await store.getConfiguredTtl(await store.createSession({}, { ttl: 50 })), 50);
  });

  test("lets it live for the whole of its idle limit, to the millisecond", async () => {
    const { store, key } = openStore(redis, { ttl: 30 });
    const begun = Date.now();
    const id = await store.createSession();
    assertAbove(await redis.pExpireTime(key(id)), begun + 29_999);
  });

  test("keeps strings, numbers, booleans and bigints as their text", async () => {
    const { store, key } = openStore(redis);
    const id = await store.createSession({ s: "é\n\0", empty: "", n: -1.5, t: true, f: false, b: 2n ** 64n });
    const texts = { s: "é\n\0", empty: "", n: "-1.5", t: "true", f: "false", b: "18446744073709551616" };
    const hash = await redis.hGetAll(key(id));
    for (const [field, text] of Object.entries(texts)) assert.equal(hash[field], text, field);
  });
});

describe("the key of a session", () => {
  test("is the prefix and the ID", () => {
    const { plain, prefix } = openStore(redis);
    assert.equal(plain.keyOf(SOME_ID), prefix + SOME_ID);
    assert.equal(new RedisSessionStore({ redis }).keyOf(SOME_ID), `session:${SOME_ID}`);
  });

  test("holds only the ID's SHA-256 digest with hashed IDs", async () => {
    const { store, plain, prefix } = openStore(redis, { hashIds: true });
    const id = await store.createSession();
    assert.equal(plain.keyOf(id), prefix + createHash("sha256").update(id).digest("base64url"));
    assert.deepEqual(await redis.keys(`${prefix}*`), [plain.keyOf(id)]);
  });
});

describe("reading a session", () => {
  test("answers every field as a string, and the seconds left", async () => {
    const { store } = openStore(redis, { ttl: 30 });
    const data = { username: "andrew", page_views: "0" };
    const session = await store.getSession(await store.createSession(data));
    const { created_at } = session!;
    const reserved = { session_ttl: "30", created_at, last_accessed_at: created_at, ttl: "30" };
    assert.deepEqual({ ...session }, { ...data, ...reserved });
  });

  test("answers own properties only, whatever the fields are called", async () => {
    const { store } = openStore(redis);
    const named = '{"":"a","__proto__":"b","constructor":"c","toString":"d","hasOwnProperty":"e"}';
    const data = JSON.parse(named) as Record<string, string>;
    const bare = await store.getSession(await store.createSession());
    const full = await store.getSession(await store.createSession(data));
    for (const [field, text] of Object.entries(data)) {
      assert.equal(bare![field], undefined, field);
      assert.equal(full![field], text, field);
    }
  });

  test("answers the seconds left even where the hash holds a field named ttl", async () => {
    const { store, key } = openStore(redis, { ttl: 30 });
    const id = await store.createSession();
    await redis.hSet(key(id), "ttl", "999");
    assert.equal((await store.getSession(id))!.ttl, "30");
  });

  for (const [operation, run] of looks) {
    test(`extends nothing by ${operation}`, async () => {
      const { store, key } = openStore(redis);
      const id = await store.createSession();
      await neglect(redis, key(id), 20);
      const before = await snapshot(key(id));
      await run(store, id);
      assert.deepEqual(await snapshot(key(id)), before);
    });
  }

  test("tells the seconds left, rounded up, and the configured idle limit", async () => {
    const { store, key } = openStore(redis, { ttl: 30 });
    const id = await store.createSession();
    await redis.pExpire(key(id), 19_900);
    assert.equal(await store.getTtl(id), 20);
    assert.equal(await store.getConfiguredTtl(id), 30);
    assert.equal((await store.getSession(id, { refreshTtl: false }))!.ttl, "20");
  });
});

describe("the idle limit", () => {
  for (const [operation, run] of refreshing) {
    test(`starts anew with ${operation}, which notes the access`, async () => {
      const { store, key } = openStore(redis, { ttl: 20 });
      const id = await store.createSession();
      await neglect(redis, key(id), 10);
      await run(store, id);
      assertAbove(await redis.pTTL(key(id)), 10_000);
      assert.notEqual(await redis.hGet(key(id), "last_accessed_at"), LONG_AGO);
    });
  }

  test("starts anew at most once a second", async () => {
    const { plain, key } = openStore(redis, { ttl: 60 });
    const id = await plain.createSession();
    await neglect(redis, key(id), 50);
    const commands = await commandsDuring(redis, () =>
      Promise.all(Array.from({ length: 20 }, () => plain.getSession(id))),
    );
    assert.deepEqual([commands["evalsha"], commands["pexpireat"], commands["hset"]], [20, 1, 1]);
  });

  test("starts anew within the second where it is a single second", async () => {
    const { plain, key } = openStore(redis, { ttl: 1 });
    const id = await plain.createSession();
    const [, , left] = await Promise.all([redis.pExpire(key(id), 450), plain.getSession(id), redis.pTTL(key(id))]);
    assertAbove(left, 450);
  });

  test("ends an idle session", async () => {
    const { store, key } = openStore(redis, { ttl: 1 });
    const id = await store.createSession();
    await sleep(1100);
    assert.equal(await store.getSession(id), null);
    assert.equal(await redis.exists(key(id)), 0);
  });

  test("lets a session live past it while it is read", async () => {
    const { store } = openStore(redis, { ttl: 2 });
    const id = await store.createSession();
    for (let i = 0; i < 5; i++) {
      await sleep(500);
      assert.notEqual(await store.getSession(id), null);
    }
  });

  const spoil: Planted[] = [
    ["missing", (key) => redis.persist(key)],
    ["too late", (key) => redis.expire(key, 1000)],
  ];
  for (const [wrong, spoilExpiry] of spoil) {
    for (const [operation, run] of onSession) {
      test(`puts an expiry right which is ${wrong} at ${operation}`, async () => {
        const { store, key } = openStore(redis, { ttl: 50 });
        const id = await store.createSession();
        await spoilExpiry(key(id));
        const answer = await run(store, id);
        const left = await redis.pTTL(key(operation === "rotateSession" ? String(answer) : id));
        if (operation === "deleteSession") assert.equal(left, -2);
        else assert.ok(left > 0 && left <= 50_000, String(left));
      });
    }
  }
});

describe("the absolute limit", () => {
  for (const [operation, run] of refreshing) {
    test(`caps what ${operation} gives`, async () => {
      const { store, key } = openStore(redis, { absoluteTtl: 60, ttl: 60 });
      const createdAt = Math.floor(Date.now() / 1000) * 1000 - 30_000;
      await redis.hSet(key(SOME_ID), byHand(isoSecond(createdAt)));
      await redis.expire(key(SOME_ID), 5);
      await run(store, SOME_ID);
      assert.equal(await redis.pExpireTime(key(SOME_ID)), createdAt + 60_000);
    });
  }

  test("stands when a session is rotated", async () => {
    const { store, key } = openStore(redis, { absoluteTtl: 60, ttl: 60 });
    const createdAt = Math.floor(Date.now() / 1000) * 1000 - 30_000;
    await redis.hSet(key(SOME_ID), byHand(isoSecond(createdAt)));
    await redis.expire(key(SOME_ID), 5);
    const id = await store.rotateSession(SOME_ID);
    assert.equal(await redis.pExpireTime(key(id!)), createdAt + 60_000);
  });

  test("notes the accesses of a session whose expiry it no longer lets move", async () => {
    const { store, key } = openStore(redis, { absoluteTtl: 60, ttl: 60 });
    const createdAt = Math.floor(Date.now() / 1000) * 1000 - 30_000;
    await redis.hSet(key(SOME_ID), byHand(isoSecond(createdAt)));
    await redis.pExpireAt(key(SOME_ID), createdAt + 60_000);
    await store.getSession(SOME_ID);
    const accessedAt = await redis.hGet(key(SOME_ID), "last_accessed_at");
    assertAbove(Date.parse(accessedAt!), createdAt);
  });

  for (const [operation, run, none] of onSession) {
    test(`ends a session for ${operation}, which removes it`, async () => {
      const { store, key } = openStore(redis, { absoluteTtl: 60, ttl: 60 });
      await redis.hSet(key(SOME_ID), byHand(isoSecond(Date.now() - 61_000)));
      assert.equal(await run(store, SOME_ID), none);
      assert.equal(await redis.exists(key(SOME_ID)), 0);
    });
  }

  test("ends a session which is in use", async () => {
    const { store, key } = openStore(redis, { absoluteTtl: 60, ttl: 60 });
    const createdAt = Math.floor(Date.now() / 1000) * 1000 - 58_000;
    await redis.hSet(key(SOME_ID), byHand(isoSecond(createdAt)));
    assert.notEqual(await store.getSession(SOME_ID), null);
    while (Date.now() <= createdAt + 60_000) {
      await store.getSession(SOME_ID);
      await sleep(100);
    }
    assert.equal(await store.getSession(SOME_ID), null);
    assert.equal(await redis.exists(key(SOME_ID)), 0);
  });
});

describe("writing", () => {
  test("changes the fields given and leaves the others", async () => {
    const { store } = openStore(redis);
    const id = await store.createSession({ username: "andrew", color: "red" });
    assert.equal(await store.updateSession(id, { color: "blue", size: 4 }), true);
    const { username, color, size } = (await store.getSession(id))!;
    assert.deepEqual({ username, color, size }, { username: "andrew", color: "blue", size: "4" });
  });

  test("counts from 0, by 1 or by an amount, up and down", async () => {
    const { store } = openStore(redis);
    const id = await store.createSession();
    assert.equal(await store.incrementField(id, "page_views"), 1);
    assert.equal(await store.incrementField(id, "page_views", 41), 42);
    assert.equal(await store.incrementField(id, "page_views", -50), -8);
    assert.equal(await store.incrementField(id, "page_views", 0), -8);
    assert.equal((await store.getSession(id))!["page_views"], "-8");
  });

  test("counts to the largest safe integer either way", async () => {
    const { store } = openStore(redis);
    const id = await store.createSession();
    for (const largest of [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]) {
      assert.equal(await store.incrementField(id, String(largest), largest), largest);
    }
  });

  test("sets a session's own idle limit, longer or shorter, and starts it anew", async () => {
    const { store, key } = openStore(redis, { ttl: 60 });
    const id = await store.createSession();
    for (const ttl of [100, 1, 50]) {
      assert.equal(await store.setSessionTtl(id, ttl), true);
      assert.equal(await store.getConfiguredTtl(id), ttl);
      assert.equal(await redis.hGet(key(id), "session_ttl"), String(ttl));
      assert.equal(await store.getTtl(id), ttl);
    }
  });

  test("leaves reserved fields out of a caller's data", async () => {
    const { store, key } = openStore(redis, { ttl: 60 });
    const data = { created_at: "x", last_accessed_at: "x", session_ttl: 5, ttl: 5, color: "red" };
    const id = await store.createSession(data);
    const created = { ...(await redis.hGetAll(key(id))) };
    const { created_at, last_accessed_at, ...others } = created;
    assert.deepEqual(others, { session_ttl: "60", color: "red" });
    assert.notEqual(created_at, "x");
    assert.notEqual(last_accessed_at, "x");
    assert.equal(await store.updateSession(id, { ...data, color: "blue" }), true);
    assert.deepEqual({ ...(await redis.hGetAll(key(id))) }, { ...created, color: "blue" });
  });

  for (const field of ["created_at", "last_accessed_at", "session_ttl", "ttl"]) {
    test(`refuses to increment ${field}`, async () => {
      const { store, key } = openStore(redis);
      const id = await store.createSession();
      const before = await snapshot(key(id));
      await assert.rejects(store.incrementField(id, field), {
        name: "RangeError",
        message: new RegExp(`got ${field}$`),
      });
      assert.deepEqual(await snapshot(key(id)), before);
    });
  }
});

describe("rotating a session", () => {
  test("gives a new ID for the same data, idle limit and creation time", async () => {
    const { store, key } = openStore(redis, { ttl: 60 });
    const id = await store.createSession({ username: "andrew", "": "empty" }, { ttl: 100 });
    await redis.hSet(key(id), "created_at", new Date(Date.now() - 86_400_000).toISOString());
    await neglect(redis, key(id), 20);
    const before = await redis.hGetAll(key(id));
    const newId = await store.rotateSession(id);
    assert.match(newId!, /^[A-Za-z0-9_-]{43}$/);
    assert.notEqual(newId, id);
    const { last_accessed_at, ...after } = await redis.hGetAll(key(newId!));
    assert.deepEqual({ ...after, last_accessed_at: LONG_AGO }, { ...before });
    assert.notEqual(last_accessed_at, LONG_AGO);
    assert.equal(await store.getTtl(newId!), 100);
  });

  for (const [operation, run, none] of onSession) {
    test(`leaves nothing at the old ID for ${operation}`, async () => {
      const { store, key } = openStore(redis);
      const id = await store.createSession({ username: "andrew" });
      const newId = await store.rotateSession(id);
      assert.equal(await run(store, id), none);
      assert.equal(await redis.exists(key(id)), 0);
      assert.equal((await store.getSession(newId!))!["username"], "andrew");
    });
  }

  test("carries a session of any size", async () => {
    const { store, key } = openStore(redis);
    const id = await store.createSession();
    await redis.hSet(
      key(id),
      Object.fromEntries(Array.from({ length: 6000 }, (_, i) => [`field${i}`, "x".repeat(20)])),
    );
    const newId = await store.rotateSession(id);
    assert.equal(await redis.hLen(key(newId!)), 6003);
  });
});

describe("deleting a session", () => {
  test("removes the key, and tells the second time that there was none", async () => {
    const { store, key } = openStore(redis);
    const id = await store.createSession();
    assert.equal(await store.deleteSession(id), true);
    assert.equal(await redis.exists(key(id)), 0);
    assert.equal(await store.deleteSession(id), false);
  });
});

describe("with hashed IDs", () => {
  for (const [operation, run, none] of onSession) {
    test(`answers ${operation} to the ID, not to its digest`, async () => {
      const { store } = openStore(redis, { hashIds: true });
      const id = await store.createSession();
      assert.equal(await run(store, createHash("sha256").update(id).digest("base64url")), none);
      assert.notEqual(await run(store, id), none);
    });
  }

  test("finds no session made without", async () => {
    const { store, prefix } = openStore(redis);
    const hashing = openStore(redis, { prefix, hashIds: true });
    assert.equal(await hashing.store.getSession(await store.createSession()), null);
    assert.equal(await store.getSession(await hashing.store.createSession()), null);
  });
});

describe("what is not a session", () => {
  for (const [operation, run, none] of onSession) {
    test(`reads as none for ${operation} where there is no key, and makes none`, async () => {
      const { store, key } = openStore(redis);
      assert.equal(await run(store, SOME_ID), none);
      assert.equal(await redis.exists(key(SOME_ID)), 0);
    });
  }

  test("is an ID of another shape, of which Redis is not even asked", async () => {
    const { plain } = openStore(redis);
    const id = await plain.createSession();
    const texts = [
      "",
      id.slice(1),
      `${id}A`,
      `${id}\n`,
      `\n${id}`,
      `/${id.slice(1)}`,
      `é${id.slice(1)}`,
      `${id.slice(2)}{}`,
    ];
    const foreign: unknown[] = [...texts, "A".repeat(2 ** 20), [id], { toString: () => id }, null, undefined, 43];
    const commands = await commandsDuring(redis, async () => {
      for (const [operation, run, none] of onSession) {
        for (const other of foreign) {
          assert.equal(await run(plain, other as string), none, `${operation} of ${typeof other}`);
        }
      }
    });
    assert.deepEqual(commands, {});
  });

  const good = byHand(isoSecond(Date.now()));
  const lacking = (field: keyof typeof good): Planted => [
    `a hash without ${field}`,
    (key) => redis.multi().hSet(key, good).hDel(key, field).exec(),
  ];
  const holding = (field: keyof typeof good, value: string): Planted => [
    `a hash with ${field} "${value}"`,
    (key) => redis.hSet(key, { ...good, [field]: value }),
  ];
  const notSessions: Planted[] = [
    lacking("session_ttl"),
    lacking("created_at"),
    lacking("last_accessed_at"),
    ...["", "abc", "0", "-5", "1.5", "nan", "inf", "15 s"].map((value) => holding("session_ttl", value)),
    ...["", "yesterday", "2026-04-08", "2026-04-08T12:34:56", "2026-04-08T12:34:56+02:00"].map((value) =>
      holding("created_at", value),
    ),
    holding("created_at", "12026-04-08T12:34:56Z"),
    ["a string", (key) => redis.set(key, "{}")],
    ["a list", (key) => redis.rPush(key, "x")],
    ["a set", (key) => redis.sAdd(key, "x")],
    ["a sorted set", (key) => redis.zAdd(key, { value: "x", score: 1 })],
    ["a stream", (key) => redis.xAdd(key, "*", { x: "y" })],
  ];
  for (const [what, plant] of notSessions) {
    test(`is ${what}, which every operation leaves untouched`, async () => {
      const { store, key } = openStore(redis, { absoluteTtl: 3_153_600_000 });
      await plant(key(SOME_ID));
      await redis.expire(key(SOME_ID), 500);
      const before = await snapshot(key(SOME_ID));
      for (const [operation, run, none] of onSession) {
        assert.equal(await run(store, SOME_ID), none, operation);
        assert.deepEqual(await snapshot(key(SOME_ID)), before, operation);
      }
    });
  }
});

async function refused(name: string, message: RegExp | string, run: Run) {
  const { plain, prefix, key } = openStore(redis, { absoluteTtl: 100, ttl: 50 });
  const id = await plain.createSession({ page_views: 5 }, { ttl: 50 });
  await redis.expire(key(id), 20);
  const before = await snapshot(key(id));
  const commands = await commandsDuring(redis, () => assert.rejects(run(plain, id), { name, message }));
  assert.deepEqual(commands, {});
  assert.deepEqual(await snapshot(key(id)), before);
  assert.deepEqual(await redis.keys(`${prefix}*`), [key(id)]);
  await assertExpiries(redis, prefix, 100);
}

describe("a wrong argument", () => {
  const ttls: unknown[] = [0, -1, 1.5, NaN, Infinity, 2 ** 53, 101, "15", null, 15n, [15], Symbol("15")];
  const values: unknown[] = [null, undefined, {}, [], NaN, Infinity, -Infinity, Symbol("x"), () => 1, new Date()];
  const amounts: unknown[] = [1.5, NaN, Infinity, 2 ** 53, -(2 ** 53), "1", 1n, null];

  test("is refused by the constructor, with a sentence that names it", () => {
    const wrong: [unknown, string, RegExp][] = [
      [undefined, "TypeError", /^redis must be .*; got undefined$/],
      [{}, "TypeError", /^redis must be .*; got undefined$/],
      [{ redis: {} }, "TypeError", /^redis must be .*; got object$/],
      [{ redis: "redis://localhost" }, "TypeError", /^redis must be .*; got string$/],
      [{ redis, absoluteTtl: 99, ttl: 100 }, "RangeError", /^ttl must be .* from 1 to 99; got 100$/],
      [{ redis, absoluteTtl: 1000 }, "RangeError", /^ttl must be .* from 1 to 1000; got 1800$/],
      [{ redis, ttl: 2_592_001 }, "RangeError", /^ttl must be .* from 1 to 2592000; got 2592001$/],
      [{ redis, absoluteTtl: 0 }, "RangeError", /^absoluteTtl must be .*; got 0$/],
      [{ redis, absoluteTtl: 3_153_600_001 }, "RangeError", /^absoluteTtl must be .*; got 3153600001$/],
      [{ redis, absoluteTtl: Infinity }, "RangeError", /^absoluteTtl must be .*; got Infinity$/],
    ];
    for (const [options, name, message] of wrong) {
      assert.throws(() => new RedisSessionStore(options as { redis: typeof redis }), { name, message });
    }
    for (const ttl of ttls) {
      assert.throws(() => new RedisSessionStore({ redis, absoluteTtl: 100, ttl: ttl as number }), {
        name: "RangeError",
        message: `ttl must be a whole number of seconds from 1 to 100; got ${String(ttl)}`,
      });
    }
  });

  for (const ttl of ttls) {
    test(`is a TTL that is ${typeof ttl} ${String(ttl)}`, async () => {
      const message = `ttl must be a whole number of seconds from 1 to 100; got ${String(ttl)}`;
      await refused("RangeError", message, (store) => store.createSession({}, { ttl: ttl as number }));
      await refused("RangeError", message, (store, id) => store.setSessionTtl(id, ttl as number));
    });
  }

  for (const value of values) {
    test(`is a value that is ${typeof value} ${String(value)}`, async () => {
      const data = { page_views: 6, color: value as SessionValue };
      await refused("TypeError", /^color must be /, (store) => store.createSession(data));
      await refused("TypeError", /^color must be /, (store, id) => store.updateSession(id, data));
    });
  }

  test("is a value that has no text", async () => {
    const data = { color: Object.create(null) as SessionValue };
    await refused("TypeError", /^color must be /, (store) => store.createSession(data));
  });

  test("is data over 4096 bytes in one write, names and values together", async () => {
    const data = { é: "é".repeat(2000), "": "x".repeat(95) };
    const message = "data must be at most 4096 bytes in one write; got 4097";
    await refused("RangeError", message, (store) => store.createSession(data));
    await refused("RangeError", message, (store, id) => store.updateSession(id, data));
    const megabyte = "x".repeat(2 ** 20);
    await refused("RangeError", /4096/, (store, id) => store.updateSession(id, { x: megabyte }));
    await refused("RangeError", /4096/, (store, id) => store.incrementField(id, megabyte));
    const { store } = openStore(redis);
    const id = await store.createSession({ é: "é".repeat(2000), "": "x".repeat(94) });
    assert.equal(await store.updateSession(id, { é: "é".repeat(2000), "": "x".repeat(94) }), true);
  });

  for (const amount of amounts) {
    test(`is an amount that is ${typeof amount} ${String(amount)}`, () =>
      refused("RangeError", new RegExp(`^amount must be .*; got ${String(amount)}$`), (store, id) =>
        store.incrementField(id, "page_views", amount as number),
      ));
  }

  const sums: [held: string, amount: number, name: string, message: RegExp][] = [
    ["9223372036854775807", 1, "RangeError", /^page_views would grow/],
    ["-9223372036854775808", -1, "RangeError", /^page_views would grow/],
    ["9007199254740991", 1, "RangeError", /^page_views would grow/],
    ["-9007199254740991", -1, "RangeError", /^page_views would grow/],
    ["9007199254740993", 0, "RangeError", /^page_views would grow/],
    ["9223372036854775807", -1, "RangeError", /^page_views would grow/],
    ["andrew", 1, "TypeError", /^page_views does not hold an integer/],
    ["1.5", 1, "TypeError", /^page_views does not hold an integer/],
    ["", 1, "TypeError", /^page_views does not hold an integer/],
    [" 1", 1, "TypeError", /^page_views does not hold an integer/],
    ["9223372036854775808", 1, "TypeError", /^page_views does not hold an integer/],
  ];
  for (const [held, amount, name, message] of sums) {
    test(`is incrementing a field that holds "${held}" by ${amount}, which changes nothing`, async () => {
      const { store, key } = openStore(redis);
      const id = await store.createSession({ page_views: held });
      await redis.expire(key(id), 20);
      const before = await snapshot(key(id));
      await assert.rejects(store.incrementField(id, "page_views", amount), { name, message });
      assert.deepEqual(await snapshot(key(id)), before);
    });
  }
});

describe("a Redis that does not do what it is asked", () => {
  const writes: [operation: string, run: Run][] = [
    ["createSession", (store) => store.createSession()],
    ["updateSession", (store, id) => store.updateSession(id, { color: "red" })],
    ["incrementField", (store, id) => store.incrementField(id, "page_views")],
    ["setSessionTtl", (store, id) => store.setSessionTtl(id, 20)],
  ];

  test("is unavailable to every operation when it is out of reach", async () => {
    const stopped = await openServer();
    const store = new RedisSessionStore({ redis: stopped.redis });
    const id = await store.createSession();
    await stopped.redis.sendCommand(["SHUTDOWN", "NOSAVE"]).catch(() => {});
    for (const [operation, run] of [...writes, ...onSession]) {
      const failure = await run(store, id).catch((error: unknown) => error);
      assert.ok(failure instanceof RedisUnavailableError, operation);
      assert.ok(failure.cause instanceof Error, operation);
      assert.ok(failure.message.length > 0, "the message says why");
    }
  });

  test("is not asked again when it is lost before it answers", async () => {
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

  test("is unavailable to every operation of a user without permission", async () => {
    await redis.aclSetUser("stranger", ["on", ">secret", "~*", "+@connection", "+cluster|slots"]);
    const { store, prefix, key } = openStore(redis);
    const id = await store.createSession();
    const before = await snapshot(key(id));
    const stranger = new RedisSessionStore({
      redis: await connect({ username: "stranger", password: "secret" }),
      prefix,
    });
    for (const [operation, run] of [...writes, ...onSession]) {
      await assert.rejects(run(stranger, id), { name: "RedisUnavailableError", message: /NOPERM/ }, operation);
    }
    assert.deepEqual(await snapshot(key(id)), before);
  });

  test("is unavailable to writes, and still answers looks, as a read-only replica", async () => {
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

  test("is unavailable to writes, and still ends sessions, when its memory is full", async () => {
    const full = await openServer();
    const { store, prefix, key } = openStore(full.redis);
    const id = await store.createSession();
    await full.redis.configSet("maxmemory", "1");
    for (const [operation, run] of writes) {
      await assert.rejects(run(store, id), { name: "RedisUnavailableError", message: /OOM/ }, operation);
    }
    assert.deepEqual(await full.redis.keys(`${prefix}*`), [key(id)]);
    assert.equal((await store.getSession(id))!.ttl, "1800");
    assert.equal(await store.deleteSession(id), true);
  });
});

describe("operations begun together", () => {
  test("take effect in the order in which they were begun, on an empty script cache too", async () => {
    const { store, plain } = openStore(redis);
    const id = await store.createSession();
    for (let count = 1; count <= 100; count++) {
      await redis.scriptFlush();
      if (count % 2 === 0) await plain.getSession(id);
      const [incremented, session, updated, later] = await Promise.all([
        plain.incrementField(id, "page_views"),
        plain.getSession(id),
        plain.updateSession(id, { seen: count }),
        plain.getSession(id, { refreshTtl: false }),
      ]);
      assert.deepEqual(
        [incremented, session!["page_views"], updated, later!["seen"]],
        [count, `${count}`, true, `${count}`],
      );
    }
    await store.deleteSession(id);
  });
});

describe("a session that another program wrote", () => {
  const formats: [string, (time: number) => string][] = [
    ["2026-04-08T12:34:56Z", isoSecond],
    ["2026-04-08T12:34:56.789Z", (time) => new Date(time).toISOString()],
    ["2026-04-08T12:34:56+00:00", (time) => isoSecond(time).replace("Z", "+00:00")],
    ["2026-04-08T12:34:56.789012+00:00", (time) => new Date(time).toISOString().replace("Z", "012+00:00")],
  ];
  for (const [example, format] of formats) {
    test(`is a session with times such as ${example}`, async () => {
      const { store, key } = openStore(redis, { absoluteTtl: 60, ttl: 60 });
      const time = Date.now() - 30_000;
      const deadline = Math.floor(time / 1000) * 1000 + 60_000;
      await redis.hSet(key(SOME_ID), byHand(format(time)));
      await redis.expire(key(SOME_ID), 5);
      const { ttl, last_accessed_at, ...session } = (await store.getSession(SOME_ID))!;
      const { last_accessed_at: _, ...written } = byHand(format(time));
      assert.deepEqual({ ...session }, written);
      assert.notEqual(last_accessed_at, format(time));
      assertAbove(Number(ttl), 5);
      assert.equal(await redis.pExpireTime(key(SOME_ID)), deadline);
      assert.equal(await store.incrementField(SOME_ID, "page_views"), 4);
      const id = await store.rotateSession(SOME_ID);
      assert.equal(await redis.pExpireTime(key(id!)), deadline);
      assert.equal(await redis.hGet(key(id!), "created_at"), format(time));
      assert.equal(await store.deleteSession(id!), true);
    });
  }

  test("ends at its absolute limit, counted from any date", async () => {
    const absoluteTtl = 3_153_600_000;
    const { plain, prefix, key } = openStore(redis, { absoluteTtl });
    const years = [1970, 1971, 1972, 1999, 2000, 2001, 2024, 2099, 2100, 2101, 2400, 9999];
    const days = ["01-01", "02-28", "03-01", "04-30", "07-31", "08-31", "12-31"];
    const dates = years.flatMap((year) => days.map((day) => `${year}-${day}T23:59:58Z`));
    for (const createdAt of [...dates, "1972-02-29T00:00:00Z", "2000-02-29T12:00:00Z"]) {
      await redis.hSet(key(SOME_ID), byHand(createdAt, { session_ttl: "1e12" }));
      await plain.getSession(SOME_ID);
      const deadline = Date.parse(createdAt) + absoluteTtl * 1000;
      assert.equal(await redis.pExpireTime(key(SOME_ID)), deadline, createdAt);
    }
    await assertExpiries(redis, prefix, absoluteTtl);
  });
});

/** The store's own script as it creates a session at each of the times given: its created_at and its deadline 10 seconds later. */
const SCRIPT_WITH_CLOCK = `
  local function at(clock)
    local session, expiry = {}
    local redis = { call = function(command, key, ...)
      local arguments = { ... }
      if command == "TIME" then return { clock, "0" } end
      if command == "HSET" then for i = 1, #arguments, 2 do session[arguments[i]] = arguments[i + 1] end end
      if command == "HMGET" then return { session[arguments[1]], session[arguments[2]], session[arguments[3]] } end
      if command == "PTTL" then return -1 end
      if command == "PEXPIREAT" then expiry = arguments[1] end
    end }
    local KEYS, ARGV = { "key" }, { "create", "10", "20" }
    local function run() ${SESSION_SCRIPT} end
    run()
    return { session.created_at, string.format("%d", expiry) }
  end
  local answers = {}
  for i, clock in ipairs(ARGV) do answers[i] = at(clock) end
  return answers`;

describe("the calendar", () => {
  test("is JavaScript's for every year from 1970 to 9999, written and read", async () => {
    const times = Array.from({ length: 8030 }, (_, i) => [
      Date.UTC(1970 + i, 0, 1),
      Date.UTC(1970 + i, 2, 1) - 1000,
      Date.UTC(1970 + i, 2, 1),
      Date.UTC(1970 + i, i % 12, 1 + (i % 31), i % 24, i % 60, (7 * i) % 60),
    ]).flat();
    const answers = (await redis.eval(SCRIPT_WITH_CLOCK, {
      arguments: times.map((time) => String(time / 1000)),
    })) as string[][];
    assert.deepEqual(
      answers,
      times.map((time) => [isoSecond(time), String(time + 10_000)]),
    );
  });
});
