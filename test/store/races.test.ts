import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import * as fc from "fast-check";
import { RedisSessionStore, type RedisScripting, SESSION_SCRIPT } from "../../session-store.ts";
import { costOf } from "../command-statistics.ts";
import { openRedis } from "../redis-connection.ts";
import { assertExpiries, neglect, newPrefix, NO_HURRY, openStore } from "../store-under-test.ts";
import { type Run, SOME_ID, storedSession } from "./every-operation.ts";

const { redis, connect } = await openRedis();
const connections = await Promise.all([connect(), connect(), connect(), connect()]);

const keysUnder = async (prefix: string) => (await redis.keys(`${prefix}*`)).toSorted();
const parallelStores = () => {
  const prefix = newPrefix();
  const stores = connections.map((connection) => new RedisSessionStore({ redis: connection, prefix, ...NO_HURRY }));
  return { prefix, stores, store: stores[0]!, key: (id: string) => prefix + id };
};

describe("any sequence of operations", () => {
  interface ModelSession {
    id: string;
    fields: Record<string, string> | null;
    ttl: number;
    aged: boolean;
  }
  type Model = ModelSession[];
  interface Real {
    store: RedisSessionStore;
    key: (id: string) => string;
  }

  const reserved = new Set(["session_ttl", "created_at", "last_accessed_at", "session_deadline", "ttl"]);
  const pick = (model: Model, index: number): ModelSession =>
    model[index % model.length] ?? { id: SOME_ID, fields: null, ttl: 0, aged: false };

  const step = <Input>(
    name: string,
    input: fc.Arbitrary<Input>,
    take: (session: ModelSession, real: Real, input: Input, model: Model) => Promise<unknown>,
  ) =>
    fc.tuple(fc.nat(7), input).map(([index, given]) => ({
      check: () => true,
      run: async (model: Model, real: Real) => {
        await take(pick(model, index), real, given, model);
      },
      toString: () => `${name}(#${index}, ${JSON.stringify(given)})`,
    }));

  const nothing = fc.constant(null);
  const field = fc.constantFrom("a", "b", "__proto__");
  const text = fc.oneof(fc.integer({ min: -50, max: 50 }).map(String), fc.string({ maxLength: 3 }));
  const data = fc.dictionary(fc.constantFrom("a", "b", "c", "created_at", "ttl"), text);
  const ttl = fc.integer({ min: 100, max: 1000 });
  const kept = (given: Record<string, string>) =>
    Object.fromEntries(Object.entries(given).filter(([name]) => !reserved.has(name)));
  const changes = fc.dictionary(fc.constantFrom("a", "b", "c", "created_at", "ttl"), fc.option(text));
  const changed = (fields: Record<string, string>, given: Record<string, string | null>) =>
    Object.fromEntries(
      Object.entries({ ...fields, ...given }).filter(([name, value]) => value !== null && !reserved.has(name)),
    ) as Record<string, string>;

  const steps = [
    step("create", fc.record({ data, ttl }), async (_, { store }, given, model) => {
      const id = await store.createSession(given.data, { ttl: given.ttl });
      model.push({ id, fields: kept(given.data), ttl: given.ttl, aged: false });
    }),
    step("get", fc.boolean(), async (session, { store }, refreshTtl) => {
      const result = await store.getSession(session.id, { refreshTtl });
      if (!session.fields) return assert.equal(result, null);
      session.aged &&= !refreshTtl;
      assert.deepEqual(kept(result as Record<string, string>), session.fields);
      assert.equal(result!.session_ttl, String(session.ttl));
      assert.equal(Number(result!.ttl) <= 50, session.aged);
    }),
    step("update", changes, async (session, { store }, given) => {
      assert.equal(await store.updateSession(session.id, given), session.fields !== null);
      if (session.fields) Object.assign(session, { fields: changed(session.fields, given), aged: false });
    }),
    step("increment", fc.tuple(field, fc.integer({ min: -9, max: 9 })), async (session, { store }, [name, by]) => {
      const result = store.incrementField(session.id, name, by);
      if (!session.fields) return assert.equal(await result, null);
      const held = Object.hasOwn(session.fields, name) ? session.fields[name]! : "0";
      if (!/^(0|-?[1-9]\d*)$/.test(held)) return assert.rejects(result, TypeError);
      assert.equal(await result, Number(held) + by);
      session.fields = { ...session.fields, [name]: String(Number(held) + by) };
      session.aged = false;
    }),
    step("setTtl", ttl, async (session, { store }, given) => {
      assert.equal(await store.setSessionTtl(session.id, given), session.fields !== null);
      Object.assign(session, { ttl: given, aged: false });
    }),
    step("rotate", changes, async (session, { store }, given, model) => {
      const id = await store.rotateSession(session.id, given);
      if (!session.fields) return assert.equal(id, null);
      model.push({ ...session, id: id!, fields: changed(session.fields, given), aged: false });
      session.fields = null;
    }),
    step("delete", nothing, async (session, { store }) => {
      assert.equal(await store.deleteSession(session.id), session.fields !== null);
      session.fields = null;
    }),
    step("evict", nothing, async (session, { key }) => {
      await redis.del(key(session.id));
      session.fields = null;
    }),
    step("expire", nothing, async (session, { key }) => {
      await redis.pExpire(key(session.id), 1);
      await sleep(3);
      session.fields = null;
    }),
    step("age", nothing, async (session, { key }) => {
      session.aged = (await redis.expire(key(session.id), 50)) === 1;
    }),
    step("wait", fc.integer({ min: 0, max: 3 }), (_session, _real, milliseconds) => sleep(milliseconds)),
    step("forget the script", nothing, () => redis.scriptFlush()),
  ];

  test("any sequence of operations gives the results of a model in plain TypeScript", async (t) => {
    const seed = Number(process.env["STORE_TEST_SEED"] ?? Date.now() % 2 ** 31);
    t.diagnostic(`STORE_TEST_SEED=${seed}`);
    let sequences = 0;
    let last = Promise.resolve();
    const sequence = fc.asyncProperty(fc.commands(steps, { maxCommands: 50, size: "max" }), (commands) => {
      last = runSequence(commands);
      return last;
    });
    await fc.assert(sequence, { seed, numRuns: 200, interruptAfterTimeLimit: 12_000 });
    await last; // at its time limit, fast-check does not wait for it, and it would disturb the next tests
    t.diagnostic(`${sequences} sequences`);

    async function runSequence(commands: Iterable<fc.AsyncCommand<Model, Real>>): Promise<void> {
      const model: Model = [];
      const real = openStore(redis);
      await fc.asyncModelRun(() => ({ model, real }), commands);
      const alive = model.filter(({ fields }) => fields).map(({ id }) => real.key(id));
      assert.deepEqual(await keysUnder(real.prefix), alive.toSorted());
      if (alive.length > 0) await redis.del(alive);
      sequences++;
    }
  });
});

const writes: [write: string, run: Run, none: unknown, mark?: [field: string, value: string]][] = [
  ["updateSession", (store, id) => store.updateSession(id, { color: "red" }), false, ["color", "red"]],
  ["incrementField", (store, id) => store.incrementField(id, "count"), null, ["count", "1"]],
  ["setSessionTtl", (store, id) => store.setSessionTtl(id, 20), false, ["session_ttl", "20"]],
  ["getSession", (store, id) => store.getSession(id), null],
  ["rotateSession", (store, id) => store.rotateSession(id), null],
];
const enders: [ender: string, run: (store: RedisSessionStore, id: string, key: string) => Promise<unknown>][] = [
  ["deleteSession", (store, id) => store.deleteSession(id)],
  ["rotateSession", (store, id) => store.rotateSession(id)],
  ["expiry", (_store, _id, key) => redis.pExpireAt(key, 1)],
  ["eviction", (_store, _id, key) => redis.del(key)],
];

/** The client as the store sees it, where something happens right before the command of that number. */
const interposed = (place: number, scriptIsKnown: boolean, act: () => Promise<unknown>): RedisScripting => {
  let sent = 0;
  return {
    evalSha: async (...command) => {
      if (sent++ === place) await act();
      if (!scriptIsKnown) await redis.scriptFlush();
      return redis.evalSha(...command);
    },
    eval: async (...command) => {
      if (sent++ === place) await act();
      return redis.eval(...command);
    },
  };
};

describe("a session that ends at any moment of a write stays dead", () => {
  for (const [write, run, none, mark] of writes) {
    for (const [ender, end] of enders) {
      for (const scriptIsKnown of [true, false]) {
        const takesEffectAt = scriptIsKnown ? 0 : 1;
        const commands = (write === "rotateSession" ? 2 : 1) * (scriptIsKnown ? 1 : 2);
        for (let place = 0; place <= commands; place++) {
          const moment = place < commands ? `before command ${place + 1} of` : "after";
          test(`${ender} ${moment} ${write}, with the script ${scriptIsKnown ? "cached" : "not cached"}`, async () => {
            const { prefix, store, key, stores } = parallelStores();
            if (scriptIsKnown) await redis.scriptLoad(SESSION_SCRIPT.source);
            const id = await store.createSession({ username: "andrew" });
            await neglect(redis, key(id), 10);
            let ended: unknown;
            const endIt = async () => (ended = await end(stores[1]!, id, key(id)));
            const writer = new RedisSessionStore({
              redis: interposed(place, scriptIsKnown, endIt),
              prefix,
              ...NO_HURRY,
            });
            const result = await run(writer, id);
            if (place === commands) await endIt();
            const wroteFirst = place > takesEffectAt;
            assert.equal(result !== none, wroteFirst);
            assert.equal(Boolean(ended), !(wroteFirst && write === "rotateSession"));
            const ids = [write === "rotateSession" && result, ender === "rotateSession" && ended];
            const alive = ids.filter((newId) => typeof newId === "string").map(key);
            assert.deepEqual(await keysUnder(prefix), alive);
            for (const survivor of alive) {
              const hash = await redis.hGetAll(survivor);
              assert.equal(hash["username"], "andrew");
              if (mark) assert.equal(hash[mark[0]] === mark[1], wroteFirst);
            }
            await assertExpiries(redis, prefix);
          });
        }
      }
    }
  }

  test("the deadline passes between the two steps of rotateSession", async () => {
    const { prefix, store, key } = parallelStores();
    assert.equal(await store.getSession(SOME_ID), null);
    const session = storedSession(2);
    await redis.hSet(key(SOME_ID), session);
    const untilTheDeadline = async () => {
      while (Number((await redis.time())[0]) < Number(session.session_deadline)) await sleep(20);
    };
    const slow = interposed(1, true, untilTheDeadline);
    const rotating = new RedisSessionStore({ redis: slow, prefix, timeoutMs: 60_000 });
    assert.equal(await rotating.rotateSession(SOME_ID), null);
    assert.deepEqual(await keysUnder(prefix), []);
  });
});

describe("operations from several connections at once", () => {
  for (const [ender, end] of enders) {
    test(`never bring a session back in 300 rounds of ${ender}, and their results tell whether they took effect`, async () => {
      const { prefix, stores, store, key } = parallelStores();
      for (let round = 0; round < 300; round++) {
        const id = await store.createSession({ username: "andrew" });
        if (round % 2 === 0) await redis.expire(key(id), 10);
        const counts: number[] = [];
        let ended: unknown;
        let updated = false;
        const crowd: Run[] = [
          ...stores.map((): Run => async (each) => counts.push((await each.incrementField(id, "count")) ?? 0)),
          async (each) => (updated = await each.updateSession(id, { color: "red" })),
          (each) => each.getSession(id),
          (each) => each.setSessionTtl(id, 20),
        ];
        crowd.splice(round % (crowd.length + 1), 0, async (each) => (ended = await end(each, id, key(id))));
        await Promise.all(crowd.map((run, i) => run(stores[(i + round) % 4]!, id)));
        const counted = counts.filter((count) => count > 0).toSorted((a, b) => a - b);
        assert.deepEqual(counted, [1, 2, 3, 4].slice(0, counted.length));
        assert.ok(ended, `round ${round}`);
        const alive = ender === "rotateSession" ? [key(ended as string)] : [];
        assert.deepEqual(await keysUnder(prefix), alive);
        for (const survivor of alive) {
          const { username, color, count } = await redis.hGetAll(survivor);
          assert.deepEqual([username, color === "red", Number(count ?? 0)], ["andrew", updated, counted.length]);
          await assertExpiries(redis, prefix);
          await redis.del(survivor);
        }
      }
    });
  }

  test("of eight rotations, one succeeds, and the data is at its ID only", async () => {
    const { prefix, stores, store, key } = parallelStores();
    for (let round = 0; round < 200; round++) {
      const id = await store.createSession({ username: "andrew" });
      const ids = await Promise.all([...stores, ...stores].map((each) => each.rotateSession(id)));
      const [winner, ...others] = ids.filter((newId) => newId !== null);
      assert.deepEqual(others, []);
      assert.deepEqual(await keysUnder(prefix), [key(winner!)]);
      assert.equal((await store.getSession(winner))!["username"], "andrew");
      await assertExpiries(redis, prefix);
      await store.deleteSession(winner);
    }
  });

  test("of eight deletions, one returns true", async () => {
    const { prefix, stores, store } = parallelStores();
    for (let round = 0; round < 200; round++) {
      const id = await store.createSession();
      const results = await Promise.all([...stores, ...stores].map((each) => each.deleteSession(id)));
      assert.equal(results.filter(Boolean).length, 1);
      assert.deepEqual(await keysUnder(prefix), []);
    }
  });

  test("50 parallel updates of 50 fields are all kept", async () => {
    const { prefix, stores, store } = parallelStores();
    const id = await store.createSession();
    const fields = Array.from({ length: 50 }, (_, i) => [`field${i}`, `${i}`] as const);
    await Promise.all(fields.map(([field, value], i) => stores[i % 4]!.updateSession(id, { [field]: value })));
    const session = await store.getSession(id);
    for (const [field, value] of fields) assert.equal(session![field], value);
    await assertExpiries(redis, prefix);
  });

  test("1000 parallel increments all count, and each returns a number of its own", async () => {
    const { prefix, stores, store } = parallelStores();
    const id = await store.createSession();
    const each = Array.from({ length: 1000 }, (_, i) => i + 1);
    const results = await Promise.all(each.map((i) => stores[i % 4]!.incrementField(id, "count")));
    assert.deepEqual(
      results.toSorted((a, b) => a! - b!),
      each,
    );
    assert.equal((await store.getSession(id))!["count"], "1000");
    await assertExpiries(redis, prefix);
  });
});

describe("an operation runs in Redis, at the most,", () => {
  type Cost = Record<string, number>;
  const checked = { evalsha: 1, hmget: 1 };
  const peeked = { evalsha: 1, hgetall: 1, pttl: 1 };
  const reset = { pttl: 1, pexpire: 1, pexpireat: 1, hset: 1 };
  const created = { evalsha: 1, time: 1, hset: 2, pexpire: 1, pexpireat: 1 };
  const rotated = { ...created, evalsha: 2, hgetall: 1, pttl: 1, hset: 4, pexpire: 2, pexpireat: 2, del: 1 };
  const costs: [operation: string, run: Run, withinASecond: Cost, later: Cost, none?: Cost][] = [
    ["createSession", (store) => store.createSession(), created, created, created],
    ["getSession", (store, id) => store.getSession(id), peeked, { ...peeked, ...reset }],
    ["a peek", (store, id) => store.getSession(id, { refreshTtl: false }), peeked, peeked],
    ["getTtl", (store, id) => store.getTtl(id), peeked, peeked],
    ["getConfiguredTtl", (store, id) => store.getConfiguredTtl(id), peeked, peeked],
    [
      "updateSession",
      (store, id) => store.updateSession(id, { a: 1, b: null }),
      { ...checked, pttl: 1, hset: 1, hdel: 1 },
      { ...checked, ...reset, hset: 2, hdel: 1 },
    ],
    [
      "incrementField",
      (store, id) => store.incrementField(id, "a"),
      { ...checked, pttl: 1, hincrby: 1 },
      { ...checked, ...reset, hincrby: 1 },
    ],
    [
      "setSessionTtl",
      (store, id) => store.setSessionTtl(id, 20),
      { ...checked, ...reset, hset: 2 },
      { ...checked, ...reset, hset: 2 },
    ],
    ["rotateSession", (store, id) => store.rotateSession(id), rotated, rotated],
    [
      "deleteSession",
      (store, id) => store.deleteSession(id),
      { ...checked, hmget: 2, del: 1 },
      { ...checked, hmget: 2, del: 1 },
    ],
  ];
  const assertAtMost = async (limit: Cost, action: () => Promise<unknown>) => {
    const { commands } = await costOf(redis, action);
    for (const [command, calls] of Object.entries(commands)) {
      assert.ok(calls <= (limit[command] ?? 0), `${calls} × ${command}, not at most ${limit[command] ?? 0}`);
    }
  };

  for (const [operation, run, withinASecond, later, none = { evalsha: 1, hmget: 1, hgetall: 1 }] of costs) {
    test(`what the table says of ${operation}`, async () => {
      const { plain, prefix, key } = openStore(redis, { ttl: 600 });
      for (const [secondsLeft, limit] of [
        [600, withinASecond],
        [50, later],
      ] as const) {
        await redis.scriptLoad(SESSION_SCRIPT.source);
        const id = await plain.createSession();
        await neglect(redis, key(id), secondsLeft);
        await assertAtMost(limit, () => run(plain, id));
      }
      await assertAtMost(none, () => run(plain, SOME_ID));
      await redis.scriptFlush();
      await assertAtMost({ ...none, eval: 1 }, () => run(plain, SOME_ID));
      await assertExpiries(redis, prefix);
    });
  }
});
