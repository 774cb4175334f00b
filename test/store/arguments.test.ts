import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type RedisScripting, RedisSessionStore, type RedisSessionStoreOptions } from "../../session-store.ts";
import { costOf } from "../command-statistics.ts";
import { openRedis } from "../redis-connection.ts";
import { assertExpiries, openStore, snapshot } from "../store-under-test.ts";
import type { Run } from "./every-operation.ts";

const { redis } = await openRedis();

const NOT_TTLS: unknown[] = [0, -1, 1.5, NaN, Infinity, 2 ** 53, 101, "15", null, 15n, [15], Symbol("15")];

/** The operation rejects before it asks Redis, and changes nothing. */
async function assertRejects(name: string, message: RegExp | string, run: Run) {
  const { plain, prefix, key } = openStore(redis, { absoluteTtl: 100, ttl: 50 });
  const id = await plain.createSession({ page_views: 5 }, { ttl: 50 });
  await redis.expire(key(id), 20);
  const before = await snapshot(redis, key(id));
  const { commands } = await costOf(redis, () => assert.rejects(run(plain, id), { name, message }));
  assert.deepEqual(commands, {});
  assert.deepEqual(await snapshot(redis, key(id)), before);
  assert.deepEqual(await redis.keys(`${prefix}*`), [key(id)]);
  await assertExpiries(redis, prefix);
}

describe("the constructor", () => {
  const client: RedisScripting = redis;
  const wrong: [options: object, name: string, message: RegExp][] = [
    [{}, "TypeError", /^redis must be .*; got undefined$/],
    [{ redis: null }, "TypeError", /^redis must be /],
    [{ redis: {} }, "TypeError", /^redis must be .*; got object$/],
    [{ redis: "redis://localhost" }, "TypeError", /^redis must be .*; got string$/],
    [{ redis: { evalSha: () => {} } }, "TypeError", /^redis must be /],
    [{ prefix: 1 }, "TypeError", /^prefix must be a string; got number$/],
    [{ hashIds: "yes" }, "TypeError", /^hashIds must be a boolean; got string$/],
    [{ absoluteTtl: 99, ttl: 100 }, "RangeError", /^ttl must be .* from 1 to 99; got 100$/],
    [{ ttl: 2_592_001 }, "RangeError", /^ttl must be .* from 1 to 2592000; got 2592001$/],
    [{ absoluteTtl: 0 }, "RangeError", /^absoluteTtl must be .*; got 0$/],
    [{ absoluteTtl: 3_153_600_001 }, "RangeError", /^absoluteTtl must be .*; got 3153600001$/],
    ...[0, -1, Infinity, NaN, 1.5, 2 ** 31].map((timeoutMs): [object, string, RegExp] => [
      { timeoutMs },
      "RangeError",
      new RegExp(`^timeoutMs must be a whole number of milliseconds from 1 to 2147483647; got ${timeoutMs}$`),
    ]),
    ...[0, -1, Infinity, "4096"].map((maxWriteBytes): [object, string, RegExp] => [
      { maxWriteBytes },
      "RangeError",
      new RegExp(`^maxWriteBytes must be a whole number of bytes from 1 to \\d+; got ${maxWriteBytes}$`),
    ]),
  ];
  for (const [options, name, message] of wrong) {
    test(`throws a ${name} that names the option and its value: ${message.source}`, () => {
      const given = (
        "redis" in options || Object.keys(options).length === 0 ? options : { redis: client, ...options }
      ) as RedisSessionStoreOptions;
      assert.throws(() => new RedisSessionStore(given), { name, message });
    });
  }

  for (const ttl of NOT_TTLS) {
    test(`throws a RangeError for the ttl ${typeof ttl} ${String(ttl)}`, () => {
      assert.throws(() => new RedisSessionStore({ redis, absoluteTtl: 100, ttl: ttl as number }), {
        name: "RangeError",
        message: `ttl must be a whole number of seconds from 1 to 100; got ${String(ttl)}`,
      });
    });
  }
});

describe("an operation rejects before Redis is asked, and changes nothing", () => {
  for (const ttl of NOT_TTLS) {
    test(`for a ttl that is ${typeof ttl} ${String(ttl)}`, async () => {
      const message = `ttl must be a whole number of seconds from 1 to 100; got ${String(ttl)}`;
      await assertRejects("RangeError", message, (store) => store.createSession({}, { ttl: ttl as number }));
      await assertRejects("RangeError", message, (store, id) => store.setSessionTtl(id, ttl as number));
    });
  }

  test("for a ttl above the session's own absoluteTtl", async () => {
    const message = "ttl must be a whole number of seconds from 1 to 49; got 50";
    await assertRejects("RangeError", message, (store) => store.createSession({}, { ttl: 50, absoluteTtl: 49 }));
  });

  for (const absoluteTtl of [0, -1, 1.5, Infinity, 3_153_600_001, "60"]) {
    test(`for an absoluteTtl that is ${typeof absoluteTtl} ${absoluteTtl}`, () =>
      assertRejects("RangeError", /^absoluteTtl must be .* from 1 to 3153600000; got /, (store) =>
        store.createSession({}, { ttl: 1, absoluteTtl: absoluteTtl as number }),
      ));
  }

  const values: unknown[] = [{}, [], NaN, Infinity, -Infinity, true, false, 1n, Symbol("x"), () => 1, new Date()];
  for (const value of [...values, Object.create(null)]) {
    test(`for a value that is ${typeof value} ${Object.prototype.toString.call(value)}`, async () => {
      const data = { page_views: 6, color: value as string };
      await assertRejects("TypeError", /^color must be /, (store) => store.createSession(data));
      await assertRejects("TypeError", /^color must be /, (store, id) => store.updateSession(id, data));
      await assertRejects("TypeError", /^color must be /, (store, id) => store.rotateSession(id, data));
    });
  }

  test("for a lone surrogate, in a value or in the name of a field", async () => {
    await assertRejects("TypeError", /^color must be well-formed text/, (store, id) =>
      store.updateSession(id, { color: "\ud800" }),
    );
    await assertRejects("TypeError", /^the name of a field must be well-formed text/, (store, id) =>
      store.updateSession(id, { "\udfff": "a" }),
    );
    await assertRejects("TypeError", /well-formed/, (store, id) => store.incrementField(id, "\ud800"));
  });

  const notData: [what: string, data: unknown][] = [
    ["a Map", new Map([["a", "b"]])],
    ["an array", [["a", "b"]]],
    ["a string", "ab"],
    ["a number", 1],
    ["null", null],
    ["a promise", Promise.resolve({ a: "b" })],
    ["URLSearchParams", new URLSearchParams("a=b")],
    ["a Date", new Date()],
  ];
  for (const [what, data] of notData) {
    test(`for data that is ${what}`, async () => {
      const given = data as Record<string, string>;
      await assertRejects("TypeError", /^data must be a plain object; got /, (store) => store.createSession(given));
      await assertRejects("TypeError", /^data must be a plain object; got /, (store, id) =>
        store.updateSession(id, given),
      );
      await assertRejects("TypeError", /^data must be a plain object; got /, (store, id) =>
        store.rotateSession(id, given),
      );
    });
  }

  test("for data over 4096 bytes in one write, names and values together", async () => {
    const data = { é: "é".repeat(2000), "": "x".repeat(95) };
    const message = "data must have at most 4096 bytes in one write; got 4097";
    await assertRejects("RangeError", message, (store) => store.createSession(data));
    await assertRejects("RangeError", message, (store, id) => store.updateSession(id, data));
    const megabyte = "x".repeat(2 ** 20);
    await assertRejects("RangeError", /4096/, (store, id) => store.updateSession(id, { x: megabyte }));
    await assertRejects("RangeError", /4096/, (store, id) => store.incrementField(id, megabyte));
    const { store } = openStore(redis);
    const id = await store.createSession({ é: "é".repeat(2000), "": "x".repeat(94) });
    assert.equal(await store.updateSession(id, { é: "é".repeat(2000), "": "x".repeat(94) }), true);
  });

  test("not for a megabyte in 20,000 fields, if maxWriteBytes allows it", async () => {
    const { store } = openStore(redis, { maxWriteBytes: 2 ** 20 });
    const data = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`field${i}`, "x".repeat(30)]));
    const id = await store.createSession(data);
    assert.equal(await store.updateSession(id, data), true);
    const nothing = Object.fromEntries(Object.keys(data).map((field) => [field, null]));
    assert.equal(await store.updateSession(id, nothing), true);
    assert.equal(Object.keys((await store.getSession(id))!).length, 5);
  });

  for (const field of [undefined, 5, Symbol("x"), ["session_ttl"]]) {
    test(`for a field that is ${typeof field} ${String(field)}`, () =>
      assertRejects("TypeError", /^field must be a string; got /, (store, id) =>
        store.incrementField(id, field as unknown as string),
      ));
  }

  for (const amount of [1.5, NaN, Infinity, 2 ** 53, -(2 ** 53), "1", 1n, null]) {
    test(`for an amount that is ${typeof amount} ${String(amount)}`, () =>
      assertRejects("RangeError", new RegExp(`^amount must be .*; got ${String(amount)}$`), (store, id) =>
        store.incrementField(id, "page_views", amount as number),
      ));
  }
});

describe("incrementField changes nothing and rejects", () => {
  const sums: [held: string, amount: number, name: string, message: RegExp][] = [
    ["9223372036854775807", 1, "RangeError", /^page_views would be no safe integer/],
    ["-9223372036854775808", -1, "RangeError", /^page_views would be no safe integer/],
    ["9007199254740991", 1, "RangeError", /^page_views would be no safe integer/],
    ["-9007199254740991", -1, "RangeError", /^page_views would be no safe integer/],
    ["9007199254740993", 0, "RangeError", /^page_views would be no safe integer/],
    ["9223372036854775807", -1, "RangeError", /^page_views would be no safe integer/],
    ["andrew", 1, "TypeError", /^page_views does not hold an integer/],
    ["1.5", 1, "TypeError", /^page_views does not hold an integer/],
    ["", 1, "TypeError", /^page_views does not hold an integer/],
    [" 1", 1, "TypeError", /^page_views does not hold an integer/],
    ["9223372036854775808", 1, "TypeError", /^page_views does not hold an integer/],
  ];
  for (const [held, amount, name, message] of sums) {
    test(`if the field holds "${held}" and the amount is ${amount}`, async () => {
      const { store, key } = openStore(redis);
      const id = await store.createSession({ page_views: held });
      await redis.expire(key(id), 20);
      const before = await snapshot(redis, key(id));
      await assert.rejects(store.incrementField(id, "page_views", amount), { name, message });
      assert.deepEqual(await snapshot(redis, key(id)), before);
    });
  }
});
