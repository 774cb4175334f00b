import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { RedisSessionStore } from "../../session-store.ts";
import { costOf } from "../command-statistics.ts";
import { openRedis } from "../redis-connection.ts";
import { assertExpiries, LONG_AGO, neglect, openStore, snapshot } from "../store-under-test.ts";
import { onSession, SOME_ID, storedSession } from "./every-operation.ts";

const { redis, connect } = await openRedis();

describe("createSession", () => {
  test("returns an ID of 32 random bytes in base64url", async () => {
    const { store } = openStore(redis);
    const ids = await Promise.all(Array.from({ length: 100 }, () => store.createSession()));
    for (const id of ids) assert.match(id, /^[A-Za-z0-9_-]{43}$/);
    assert.equal(new Set(ids).size, 100);
    assert.equal(Buffer.from(ids[0]!, "base64url").length, 32);
  });

  test("writes the guide's hash, with a deadline, under the prefix and the ID", async () => {
    const { store, key } = openStore(redis, { absoluteTtl: 100, ttl: 60 });
    const [earliest] = await redis.time();
    const id = await store.createSession({ username: "andrew", page_views: 0 }, { ttl: 15 });
    const { created_at, last_accessed_at, session_deadline, ...others } = await redis.hGetAll(key(id));
    assert.deepEqual({ ...others }, { username: "andrew", page_views: "0", session_ttl: "15" });
    assert.equal(last_accessed_at, created_at);
    const [latest] = await redis.time();
    const deadline = Number(session_deadline);
    assert.ok(deadline >= Number(earliest) + 100 && deadline <= Number(latest) + 101, session_deadline);
    assert.ok((await redis.pTTL(key(id))) > 0);
  });

  test("writes created_at as UTC, to the second", async () => {
    const { store, key } = openStore(redis);
    const earliest = Date.now() - 1000;
    const createdAt = await redis.hGet(key(await store.createSession()), "created_at");
    assert.match(createdAt!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.ok(Date.parse(createdAt!) >= earliest && Date.parse(createdAt!) <= Date.now(), createdAt!);
  });

  test("uses the prefix session: and an idle timeout of 1800 seconds by default", async () => {
    const store = new RedisSessionStore({ redis });
    const id = await store.createSession();
    await assertExpiries(redis, `session:${id}`);
    assert.equal(await redis.hGet(`session:${id}`, "session_ttl"), "1800");
    assert.equal(await store.deleteSession(id), true);
  });

  test("leaves no key if the ACL denies a command after HSET", async () => {
    for (const denied of ["hmget", "pexpire", "pexpireat", "pttl", "hset", "time", "del"]) {
      const user = `without-${denied}`;
      await redis.aclSetUser(user, ["on", ">secret", "~*", "+@all", `-${denied}`]);
      const { prefix, plain } = openStore(redis);
      const limited = openStore(await connect({ username: user, password: "secret" }), { prefix }).plain;
      const id = await limited.createSession().catch(() => undefined);
      if (id === undefined) assert.deepEqual(await redis.keys(`${prefix}*`), [], denied);
      else assert.equal(await plain.deleteSession(id), true, denied);
    }
  });
});

describe("the key of a session", () => {
  test("is the prefix and the ID", () => {
    const { plain, prefix } = openStore(redis);
    assert.equal(plain.keyOf(SOME_ID), prefix + SOME_ID);
    assert.equal(new RedisSessionStore({ redis }).keyOf(SOME_ID), `session:${SOME_ID}`);
  });

  test("holds only the SHA-256 digest of the ID with hashIds", async () => {
    const { store, plain, prefix } = openStore(redis, { hashIds: true });
    const id = await store.createSession();
    assert.equal(plain.keyOf(id), `${prefix}sha256:${createHash("sha256").update(id).digest("base64url")}`);
    assert.deepEqual(await redis.keys(`${prefix}*`), [plain.keyOf(id)]);
  });
});

describe("getSession", () => {
  test("returns every field as text, and the seconds left", async () => {
    const { store, key } = openStore(redis, { ttl: 30 });
    const data = { username: "andrew", page_views: 0 };
    const id = await store.createSession(data);
    const session = await store.getSession(id);
    assert.deepEqual({ ...session }, { ...(await redis.hGetAll(key(id))), ttl: "30" });
    assert.deepEqual([session!["username"], session!["page_views"]], ["andrew", "0"]);
  });

  test("returns own properties only, whatever the names of the fields", async () => {
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

  test("returns an object that is plain for React too: its prototype has no prototype, and no properties", async () => {
    const { store } = openStore(redis);
    const prototype = Object.getPrototypeOf(await store.getSession(await store.createSession())) as object;
    assert.equal(Object.getPrototypeOf(prototype), null);
    assert.deepEqual(Reflect.ownKeys(prototype), []);
    assert.ok(Object.isFrozen(prototype));
  });

  test("returns the seconds left even if the hash holds a field named ttl", async () => {
    const { store, key } = openStore(redis, { ttl: 30 });
    const id = await store.createSession();
    await redis.hSet(key(id), "ttl", "999");
    assert.equal((await store.getSession(id))!.ttl, "30");
  });

  test("returns last_accessed_at as this read has written it", async () => {
    const { store, key } = openStore(redis);
    const id = await store.createSession();
    await neglect(redis, key(id), 10);
    const session = await store.getSession(id);
    assert.notEqual(session!.last_accessed_at, LONG_AGO);
    assert.equal(session!.last_accessed_at, await redis.hGet(key(id), "last_accessed_at"));
  });
});

describe("getTtl and getConfiguredTtl", () => {
  test("return the seconds left, rounded up, and the session's own idle timeout", async () => {
    const { plain, key } = openStore(redis, { ttl: 30 });
    const id = await plain.createSession();
    const [, left, configured, session] = await Promise.all([
      redis.pExpire(key(id), 19_900), // all of these reach Redis together, so that no time passes between them
      plain.getTtl(id),
      plain.getConfiguredTtl(id),
      plain.getSession(id, { refreshTtl: false }),
    ]);
    assert.deepEqual([left, configured, session!.ttl], [20, 30, "20"]);
  });
});

describe("updateSession", () => {
  test("changes the fields given and leaves the others", async () => {
    const { store } = openStore(redis);
    const id = await store.createSession({ username: "andrew", color: "red" });
    assert.equal(await store.updateSession(id, { color: "blue", size: 4 }), true);
    const { username, color, size } = (await store.getSession(id))!;
    assert.deepEqual({ username, color, size }, { username: "andrew", color: "blue", size: "4" });
  });

  test("removes a field given as null, and leaves one given as undefined alone", async () => {
    const { store, key } = openStore(redis);
    const id = await store.createSession({ username: "andrew", color: "red", size: 4, shape: null, none: undefined });
    assert.equal(await store.updateSession(id, { color: null, size: undefined, never: null, username: "ada" }), true);
    const {
      created_at: _,
      last_accessed_at: _1,
      session_deadline: _2,
      session_ttl: _3,
      ...data
    } = await redis.hGetAll(key(id));
    assert.deepEqual({ ...data }, { username: "ada", size: "4" });
  });

  for (const count of [0, 1, 500, 501, 5000]) {
    test(`writes ${count} fields, alone and while it removes another`, async () => {
      const { store } = openStore(redis, { maxWriteBytes: 2 ** 20 });
      const names = Array.from({ length: count }, (_, i) => (i === 0 ? "" : `field${i}`));
      const id = await store.createSession({ color: "red" });
      for (const [value, color] of [
        ["alone", undefined],
        ["and a removal", null],
      ] as const) {
        const data = Object.fromEntries(names.map((name) => [name, value]));
        assert.equal(await store.updateSession(id, { ...data, color }), true);
        const session = (await store.getSession(id))!;
        assert.ok(names.every((name) => session[name] === value));
        assert.equal(session["color"], color === null ? undefined : "red");
      }
    });
  }

  test("leaves reserved fields out of the data", async () => {
    const { store, key } = openStore(redis, { ttl: 60 });
    const reserved = { created_at: "x", last_accessed_at: "x", session_ttl: 5, session_deadline: 5, ttl: 5 };
    const data = { ...reserved, session_user: "x", color: "red" };
    const id = await store.createSession(data);
    const created = { ...(await redis.hGetAll(key(id))) };
    const { created_at, last_accessed_at, session_deadline, ...others } = created;
    assert.deepEqual(others, { session_ttl: "60", color: "red" });
    for (const value of [created_at, last_accessed_at, session_deadline]) assert.ok(value !== "x" && value !== "5");
    assert.equal(await store.updateSession(id, { ...data, color: "blue", created_at: null }), true);
    assert.deepEqual({ ...(await redis.hGetAll(key(id))) }, { ...created, color: "blue" });
  });
});

describe("incrementField", () => {
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
      const field = String(largest);
      assert.equal(await store.incrementField(id, field, largest - Math.sign(largest)), largest - Math.sign(largest));
      assert.equal(await store.incrementField(id, field, Math.sign(largest)), largest);
    }
  });

  for (const field of ["created_at", "last_accessed_at", "session_ttl", "session_deadline", "session_user", "ttl"]) {
    test(`rejects the reserved field ${field}`, async () => {
      const { store, key } = openStore(redis);
      const id = await store.createSession();
      const before = await snapshot(redis, key(id));
      await assert.rejects(store.incrementField(id, field), {
        name: "RangeError",
        message: `field must not be a reserved one; got ${field}`,
      });
      assert.deepEqual(await snapshot(redis, key(id)), before);
    });
  }
});

describe("setSessionTtl", () => {
  test("sets the session's own idle timeout, longer or shorter, and resets it", async () => {
    const { store, key } = openStore(redis, { ttl: 60 });
    const id = await store.createSession();
    for (const ttl of [100, 1, 50]) {
      assert.equal(await store.setSessionTtl(id, ttl), true);
      assert.equal(await store.getConfiguredTtl(id), ttl);
      assert.equal(await redis.hGet(key(id), "session_ttl"), String(ttl));
      assert.equal(await store.getTtl(id), ttl);
    }
  });
});

describe("rotateSession", () => {
  test("gives a new ID to the same data, idle timeout, creation time and deadline", async () => {
    const { store, key } = openStore(redis, { ttl: 60 });
    const id = await store.createSession({ username: "andrew", "": "empty" }, { ttl: 100 });
    await redis.hSet(key(id), "created_at", LONG_AGO);
    await neglect(redis, key(id), 20);
    const before = await redis.hGetAll(key(id));
    const newId = await store.rotateSession(id);
    assert.match(newId!, /^[A-Za-z0-9_-]{43}$/);
    assert.notEqual(newId, id);
    const { last_accessed_at, ...after } = await redis.hGetAll(key(newId!));
    assert.deepEqual({ ...after, last_accessed_at: LONG_AGO }, { ...before });
    assert.notEqual(last_accessed_at, LONG_AGO);
    assert.ok((await redis.ttl(key(newId!))) > 20);
  });

  test("changes data in the same step, so that a log-in keeps an anonymous visitor's cart", async () => {
    const { store, key } = openStore(redis);
    const anonymous = await store.createSession({ cart: "3 apples", visitor: "yes", theme: "dark" });
    const id = await store.rotateSession(anonymous, { username: "andrew", visitor: null, theme: undefined });
    const { cart, visitor, theme, username } = await redis.hGetAll(key(id!));
    assert.deepEqual([cart, visitor, theme, username], ["3 apples", undefined, "dark", "andrew"]);
  });

  test("does not touch the session if the data is wrong", async () => {
    const { store } = openStore(redis);
    const id = await store.createSession({ username: "andrew" });
    await assert.rejects(store.rotateSession(id, { admin: true as unknown as string }), TypeError);
    assert.equal((await store.getSession(id))!["username"], "andrew");
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

  test("carries a session of 60,000 fields", async () => {
    const { store, key } = openStore(redis, { timeoutMs: 60_000 });
    const id = await store.createSession();
    for (let first = 0; first < 60_000; first += 10_000) {
      const fields = Array.from({ length: 10_000 }, (_, i) => [`field${first + i}`, 'é\0"']);
      await redis.hSet(key(id), Object.fromEntries(fields) as Record<string, string>);
    }
    const newId = await store.rotateSession(id);
    assert.equal(await redis.hLen(key(newId!)), 60_004);
    assert.equal(await redis.hGet(key(newId!), "field59999"), 'é\0"');
  });
});

describe("deleteSession", () => {
  test("removes the key, and returns false the second time", async () => {
    const { store, key } = openStore(redis);
    const id = await store.createSession();
    assert.equal(await store.deleteSession(id), true);
    assert.equal(await redis.exists(key(id)), 0);
    assert.equal(await store.deleteSession(id), false);
  });
});

describe("with hashIds", () => {
  for (const [operation, run, none] of onSession) {
    test(`${operation} takes the ID, and not the digest that Redis holds`, async () => {
      const { store, prefix } = openStore(redis, { hashIds: true });
      const plain = openStore(redis, { prefix }).plain;
      const id = await store.createSession();
      const digest = createHash("sha256").update(id).digest("base64url");
      assert.equal(await run(store, digest), none);
      assert.equal(await run(plain, digest), none, "a store without hashIds");
      assert.notEqual(await run(store, id), none);
    });
  }

  test("a session created without it is not found, and the other way round", async () => {
    const { store, prefix } = openStore(redis);
    const hashing = openStore(redis, { prefix, hashIds: true });
    assert.equal(await hashing.store.getSession(await store.createSession()), null);
    assert.equal(await store.getSession(await hashing.store.createSession()), null);
  });
});

describe("what is not a session", () => {
  for (const [operation, run, none] of onSession) {
    test(`${operation} returns ${none} if there is no key, and creates none`, async () => {
      const { store, key } = openStore(redis);
      assert.equal(await run(store, SOME_ID), none);
      assert.equal(await redis.exists(key(SOME_ID)), 0);
    });
  }

  test("an ID of another form is no session, and Redis is not asked", async () => {
    const { plain } = openStore(redis);
    const id = await plain.createSession();
    const texts = ["", id.slice(1), `${id}A`, `${id}\n`, `\n${id}`, `/${id.slice(1)}`, `é${id.slice(1)}`];
    const foreign: unknown[] = [...texts, "A".repeat(2 ** 20), [id], { toString: () => id }, null, undefined, 43];
    const { commands } = await costOf(redis, async () => {
      for (const [operation, run, none] of onSession) {
        for (const other of foreign) {
          assert.equal(await run(plain, other as string), none, `${operation} of ${typeof other}`);
        }
      }
    });
    assert.deepEqual(commands, {});
  });

  type Planted = [what: string, plant: (key: string) => Promise<unknown>];
  const good = storedSession(1000);
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
    ...["", "abc", "0", "-5", "1.5", "nan", "inf", "15 s", "1e300"].map((value) => holding("session_ttl", value)),
    ["a string", (key) => redis.set(key, "{}")],
    ["a list", (key) => redis.rPush(key, "x")],
    ["a set", (key) => redis.sAdd(key, "x")],
    ["a sorted set", (key) => redis.zAdd(key, { value: "x", score: 1 })],
    ["a stream", (key) => redis.xAdd(key, "*", { x: "y" })],
  ];
  for (const [what, plant] of notSessions) {
    test(`${what} is no session, and every operation leaves it as it is`, async () => {
      const { store, key } = openStore(redis);
      await plant(key(SOME_ID));
      await redis.expire(key(SOME_ID), 500);
      const before = await snapshot(redis, key(SOME_ID));
      for (const [operation, run, none] of onSession) {
        assert.equal(await run(store, SOME_ID), none, operation);
        assert.deepEqual(await snapshot(redis, key(SOME_ID)), before, operation);
      }
    });
  }
});

describe("operations that are started together", () => {
  test("take effect in the order in which they were started, with an empty script cache too", async () => {
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

describe("a session that another of the guide's demos wrote", () => {
  const formats = ["2026-04-08T12:34:56Z", "2026-04-08T12:34:56.789Z", "2026-04-08T12:34:56.789012+00:00"];
  for (const time of formats) {
    for (const [operation, run] of onSession) {
      test(`gets its deadline at its first use, with times such as ${time}: ${operation}`, async () => {
        const { store, key } = openStore(redis, { absoluteTtl: 600, ttl: 60 });
        const written = { username: "grace", page_views: "3", session_ttl: "60" };
        await redis.hSet(key(SOME_ID), { ...written, created_at: time, last_accessed_at: time });
        await redis.expire(key(SOME_ID), 5);
        const [earliest] = await redis.time();
        const result = await run(store, SOME_ID);
        assert.ok(result !== null && result !== false);
        if (operation === "deleteSession") return;
        const id = typeof result === "string" ? result : SOME_ID;
        const { session_deadline, created_at, username } = await redis.hGetAll(key(id));
        assert.deepEqual([created_at, username], [time, "grace"]);
        assert.ok(Number(session_deadline) >= Number(earliest) + 600, session_deadline);
        const session = await store.getSession(id);
        assert.equal(session!.session_deadline, session_deadline, "a later use keeps it");
      });
    }
  }

  test("is returned with its deadline by the read that sets it", async () => {
    const { store, key } = openStore(redis, { absoluteTtl: 600, ttl: 60 });
    const { session_deadline: _, ...foreign } = storedSession(0);
    await redis.hSet(key(SOME_ID), foreign);
    const session = await store.getSession(SOME_ID, { refreshTtl: false });
    assert.equal(session!.session_deadline, await redis.hGet(key(SOME_ID), "session_deadline"));
  });
});
