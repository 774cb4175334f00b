import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RedisSessionStore } from "../../session-store.ts";
import { openRedis } from "../redis-connection.ts";
import { openStore } from "../store-under-test.ts";

const { redis } = await openRedis();

const FIELDS = { username: String, page_views: Number, admin: Boolean, cart: JSON } as const;
const openTyped = () => openStore(redis, { fields: FIELDS });

describe("with the option fields", () => {
  test("values come back with the type of their field", async () => {
    const { store } = openTyped();
    const data = { username: "andrew", page_views: -1.5, admin: false, cart: [{ item: "apple", count: 3 }, null, "é"] };
    const id = await store.createSession(data);
    const session = await store.getSession(id);
    const { username, page_views, admin, cart } = session!;
    assert.deepEqual({ username, page_views, admin, cart }, data);
  });

  test("the reserved numbers are numbers too", async () => {
    const { store } = openTyped();
    const session = await store.getSession(await store.createSession({}, { ttl: 30 }));
    const { ttl, session_ttl, session_deadline, created_at, last_accessed_at } = session!;
    assert.deepEqual([ttl, session_ttl, typeof session_deadline], [30, 30, "number"]);
    assert.deepEqual([typeof created_at, typeof last_accessed_at], ["string", "string"]);
  });

  test("getTtl and getConfiguredTtl return numbers", async () => {
    const { store } = openTyped();
    const id = await store.createSession({}, { ttl: 30 });
    assert.deepEqual([await store.getTtl(id), await store.getConfiguredTtl(id)], [30, 30]);
  });

  test("Redis holds text that redis-cli shows", async () => {
    const { store, key } = openTyped();
    const id = await store.createSession({ username: "ada", page_views: 1e21, admin: true, cart: { a: 1 } });
    const { username, page_views, admin, cart } = await redis.hGetAll(key(id));
    assert.deepEqual([username, page_views, admin, cart], ["ada", "1e+21", "true", '{"a":1}']);
  });

  test("null removes a field and undefined leaves it alone, for every type", async () => {
    const { store, key } = openTyped();
    const id = await store.createSession({ username: "a", page_views: 1, admin: true, cart: {} });
    await store.updateSession(id, { username: null, page_views: undefined, admin: null, cart: null });
    const { username, page_views, admin, cart } = await redis.hGetAll(key(id));
    assert.deepEqual([username, page_views, admin, cart], [undefined, "1", undefined, undefined]);
  });

  const undecodable: [field: string, text: string][] = [
    ["page_views", "many"],
    ["page_views", ""],
    ["page_views", " "],
    ["page_views", "Infinity"],
    ["admin", "1"],
    ["admin", "False"],
    ["admin", ""],
    ["cart", "{"],
    ["cart", ""],
  ];
  for (const [field, text] of undecodable) {
    test(`a stored value without the type of its field is left out: ${field} "${text}"`, async () => {
      const { store, key } = openTyped();
      const id = await store.createSession({ username: "andrew", page_views: 1, admin: true, cart: 1 });
      await redis.hSet(key(id), field, text);
      const session = await store.getSession(id);
      assert.equal(Object.hasOwn(session!, field), false);
      assert.equal(session!.username, "andrew");
    });
  }

  test("a field that is not declared, because another program wrote it, is text", async () => {
    const { store, key } = openTyped();
    const id = await store.createSession();
    await redis.hSet(key(id), { theme: "dark", constructor: "1" });
    const session = (await store.getSession(id)) as unknown as Record<string, unknown>;
    assert.deepEqual([session["theme"], session["constructor"]], ["dark", "1"]);
  });

  const cyclic: Record<string, unknown> = {};
  cyclic["itself"] = cyclic;
  const wrong: [data: Record<string, unknown>, message: RegExp][] = [
    [{ username: 1 }, /^username must be a string; got 1$/],
    [{ username: "\ud800" }, /^username must be well-formed text/],
    [{ page_views: "1" }, /^page_views must be a number; got string$/],
    [{ page_views: NaN }, /^page_views must be a number; got NaN$/],
    [{ page_views: Infinity }, /^page_views must be a number; got Infinity$/],
    [{ page_views: 1n }, /^page_views must be a number; got bigint$/],
    [{ admin: "false" }, /^admin must be a boolean; got string$/],
    [{ admin: 0 }, /^admin must be a boolean; got 0$/],
    [{ cart: cyclic }, /^cart must be a value that JSON can hold: .*circular/],
    [{ cart: { id: 1n } }, /^cart must be a value that JSON can hold: .*BigInt/],
    [{ cart: () => 1 }, /^cart must be a value that JSON can hold; got function$/],
    [{ cart: Symbol("x") }, /^cart must be a value that JSON can hold; got symbol$/],
    [{ theme: "dark" }, /^theme must be declared in the option `fields`$/],
    [{ constructor: "x" }, /^constructor must be declared/],
  ];
  for (const [data, message] of wrong) {
    test(`a wrong value is a TypeError, and nothing is written: ${message.source}`, async () => {
      const { store, plain, prefix, key } = openTyped();
      const id = await store.createSession({ username: "andrew" });
      const before = await redis.dump(key(id));
      const given = { username: "ada", ...data } as object;
      for (const run of [
        () => plain.createSession(given),
        () => plain.updateSession(id, given),
        () => plain.rotateSession(id, given),
      ]) {
        await assert.rejects(run, { name: "TypeError", message });
      }
      assert.deepEqual(await redis.keys(`${prefix}*`), [key(id)]);
      assert.deepEqual(await redis.dump(key(id)), before);
    });
  }

  test("incrementField takes fields that are declared as Number, and no others", async () => {
    const { store } = openTyped();
    const id = await store.createSession({ page_views: 41 });
    assert.equal(await store.incrementField(id, "page_views"), 42);
    assert.equal((await store.getSession(id))!.page_views, 42);
    for (const field of ["username", "admin", "cart", "theme", "constructor"]) {
      await assert.rejects(store.incrementField(id, field as "page_views"), {
        name: "TypeError",
        message: `${field} must be declared as Number in the option \`fields\``,
      });
    }
  });
});

describe("the option fields is a TypeError", () => {
  const wrong: [fields: unknown, message: RegExp][] = [
    [{}, /^fields must declare at least one field$/],
    [{ a: "string" }, /^fields: a must be String, Number, Boolean or JSON; got string$/],
    [{ a: Date }, /^fields: a must be String, Number, Boolean or JSON; got function$/],
    [{ a: undefined }, /^fields: a must be .*; got undefined$/],
    [null, /^fields must declare at least one field$/],
    ...["session_ttl", "created_at", "last_accessed_at", "session_deadline", "session_user", "ttl"].map(
      (field): [unknown, RegExp] => [
        { [field]: String },
        new RegExp(`^fields must not declare the reserved field ${field}$`),
      ],
    ),
  ];
  for (const [fields, message] of wrong) {
    test(message.source, () => {
      assert.throws(() => new RedisSessionStore({ redis, fields: fields as { a: typeof String } }), {
        name: "TypeError",
        message,
      });
    });
  }
});

describe("without the option fields", () => {
  test("strings and finite numbers are kept as their text", async () => {
    const { store, key } = openStore(redis);
    const texts = { s: "é\n\0", empty: "", n: -1.5, zero: -0 };
    const hash = await redis.hGetAll(key(await store.createSession(texts)));
    assert.deepEqual([hash["s"], hash["empty"], hash["n"], hash["zero"]], ["é\n\0", "", "-1.5", "0"]);
  });

  test("a boolean is a TypeError that says what to do, because its text would always be truthy", async () => {
    const { store } = openStore(redis);
    await assert.rejects(store.createSession({ admin: false as unknown as string }), {
      name: "TypeError",
      message: "admin must be a string or a finite number; got boolean. Declare it in the option `fields`",
    });
  });
});
