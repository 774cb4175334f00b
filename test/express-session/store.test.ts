import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import express, { type RequestHandler } from "express";
import session from "express-session";
import { createClient, createClientPool, createSentinel } from "redis";
import { ExpressSessionStore, type ExpressSessionStoreOptions } from "../../express-session-store.ts";
import { RedisUnavailableError } from "../../session-store.ts";
import { Browser } from "../browser.ts";
import { connectPatiently, openRedis } from "../redis-connection.ts";
import { spawnRedis } from "../redis-process.ts";
import { assertExpiries, keysLike, newPrefix, NO_HURRY } from "../store-under-test.ts";
import { until } from "../wait.ts";

const { host, port, redis, connect, isCluster } = await openRedis();

type Data = Record<string, unknown>;

/** A store of the test's own keys, for sessions of any form. */
function openStore(options: Partial<ExpressSessionStoreOptions> = {}) {
  const prefix = options.prefix ?? newPrefix();
  const store = new ExpressSessionStore({ redis, ...NO_HURRY, ...options, prefix });
  return {
    store,
    prefix,
    get: (id: string) => store.get(id) as unknown as Promise<Data | undefined>,
    set: (id: string, data: Data) => store.set(id, data as never),
    touch: (id: string, data: Data) => store.touch(id, data as never),
    destroy: (id: string) => store.destroy(id),
    all: () => store.all() as unknown as Promise<Record<string, Data>>,
    length: () => store.length(),
    clear: () => store.clear(),
    keys: () => keysLike(redis, `${prefix}*`),
    onlyKey: async () => {
      const [key, ...others] = await keysLike(redis, `${prefix}*`);
      assert.deepEqual(others, []);
      return key!;
    },
  };
}

const inMs = (milliseconds: number) => new Date(Date.now() + milliseconds).toISOString();
const COOKIE = { originalMaxAge: null, expires: null, httpOnly: true, path: "/" };
const HOUR_MS = 3_600_000;

describe("the store of express-session", () => {
  test("get returns what was set, including the cookie, and nothing for an unknown ID", async () => {
    const { get, set } = openStore();
    const data = { cookie: COOKIE, user: { name: "andrew", roles: ["reader"] }, count: 1, none: null };
    await set("a", data);
    assert.deepEqual(await get("a"), data);
    assert.equal(await get("b"), undefined);
  });

  test("set replaces the whole session", async () => {
    const { get, set } = openStore();
    await set("a", { cookie: COOKIE, first: 1 });
    await set("a", { cookie: COOKIE, second: 2 });
    assert.deepEqual(await get("a"), { cookie: COOKIE, second: 2 });
  });

  test("keeps a session without a cookie", async () => {
    const { get, set } = openStore();
    await set("a", { count: 1 });
    assert.deepEqual(await get("a"), { count: 1 });
  });

  test("accepts IDs of any form", async () => {
    const { get, set, destroy, all } = openStore();
    const ids = [
      "",
      " ",
      "a",
      "a:b",
      "*",
      "__proto__",
      "constructor",
      "é",
      "😀",
      "\ud800",
      "\udfff",
      "\ufffd",
      "a\0b",
      "\n",
    ];
    ids.push("x".repeat(10_000), "x".repeat(43), "../..", "{a}b", "%00");
    await Promise.all(ids.map(async (id, i) => set(id, { cookie: COOKIE, i })));
    for (const [i, id] of ids.entries()) assert.equal((await get(id))?.["i"], i, JSON.stringify(id));
    assert.deepEqual(Object.keys(await all()).toSorted(), ids.toSorted());
    await Promise.all(ids.map(async (id) => destroy(id)));
    for (const id of ids) assert.equal(await get(id), undefined, JSON.stringify(id));
  });

  test("accepts field names of any form", async () => {
    const { get, set } = openStore();
    const data = JSON.parse(
      `{"cookie":${JSON.stringify(COOKIE)},"__proto__":{"admin":true},"ttl":1,"id":2,"\\ud800":3}`,
    );
    await set("a", data as Data);
    assert.equal(JSON.stringify(sorted(await get("a"))), JSON.stringify(sorted(data as Data)));
  });

  test("touch resets the cookie's expiry, which get returns, and changes nothing else", async () => {
    const { get, set, touch, onlyKey } = openStore();
    await set("a", { cookie: { ...COOKIE, expires: inMs(60_000) }, count: 1 });
    const expires = inMs(HOUR_MS);
    await touch("a", { cookie: { ...COOKIE, expires }, count: 2 });
    assert.deepEqual(await get("a"), { cookie: { ...COOKIE, expires }, count: 1 });
    assert.ok((await redis.pTTL(await onlyKey())) > HOUR_MS - 60_000);
  });

  test("touch does not create a session", async () => {
    const { get, touch, keys } = openStore();
    await touch("a", { cookie: COOKIE });
    assert.equal(await get("a"), undefined);
    assert.deepEqual(await keys(), []);
  });

  test("destroy deletes a session, and is not an error if there is none", async () => {
    const { get, set, destroy } = openStore();
    await set("a", { cookie: COOKIE });
    await destroy("a");
    await destroy("a");
    assert.equal(await get("a"), undefined);
  });

  test("set with a plain object after destroy creates the session again, as the documentation of set says", async () => {
    const { get, set, destroy } = openStore();
    const data = { cookie: COOKIE, count: 1 };
    await set("a", data);
    await destroy("a");
    await set("a", data);
    assert.deepEqual(await get("a"), data);
  });

  test("all, length and clear find the sessions of this store, and of no other, whatever its prefix", async () => {
    const base = newPrefix();
    const prefixes = [
      base,
      `${base}a:`,
      `${base}${"x".repeat(43)}`,
      `${base}*`,
      `${base}[ab]`,
      `${base}\\`,
      `${base}?`,
    ];
    const stores = prefixes.map((prefix) => openStore({ prefix }));
    for (const [i, { set }] of stores.entries()) {
      for (let n = 0; n <= i; n++) await set(`session ${n}`, { cookie: COOKIE, i, n });
    }
    for (const [i, { length, all }] of stores.entries()) {
      assert.equal(await length(), i + 1);
      const expected = Array.from({ length: i + 1 }, (_, n) => [`session ${n}`, { cookie: COOKIE, i, n }]);
      assert.deepEqual({ ...(await all()) }, Object.fromEntries(expected));
    }
    await stores[0]!.clear();
    await stores[3]!.clear();
    const lengths = await Promise.all(stores.map(async ({ length }) => length()));
    assert.deepEqual(lengths, [0, 2, 3, 0, 5, 6, 7]);
  });

  test("all, length and clear find each of many sessions once", async () => {
    const { set, all, length, clear, keys } = openStore();
    for (let i = 0; i < 2000; i += 50) {
      await Promise.all(Array.from({ length: 50 }, async (_, n) => set(String(i + n), { cookie: COOKIE, n })));
    }
    assert.equal(await length(), 2000);
    assert.equal(Object.keys(await all()).length, 2000);
    await clear();
    assert.deepEqual(await keys(), []);
  });

  test("all returns an object without inherited properties", async () => {
    const { all } = openStore();
    assert.equal((await all())["constructor"], undefined);
  });

  test("a session ends with its cookie, to the millisecond, and touch does not bring it back", async () => {
    const { get, set, touch, length, all, keys } = openStore();
    const expires = inMs(300);
    await set("a", { cookie: { ...COOKIE, expires } });
    for (const key of await keys()) assert.ok((await redis.pTTL(key)) <= 300);
    while (Date.now() < Date.parse(expires)) await sleep(1);
    assert.equal(await get("a"), undefined);
    assert.deepEqual({ ...(await all()) }, {});
    // The key's time is counted from when Redis receives it, so the key goes a little later.
    assert.ok(await until(async () => (await keys()).length === 0), "The key outlives the cookie");
    assert.equal(await length(), 0);
    await touch("a", { cookie: { ...COOKIE, expires: inMs(HOUR_MS) } });
    assert.equal(await get("a"), undefined);
  });

  test("a cookie that has expired ends the session", async () => {
    const { get, set, touch } = openStore();
    await set("a", { cookie: { ...COOKIE, expires: inMs(-1000) } });
    assert.equal(await get("a"), undefined);
    await set("a", { cookie: COOKIE });
    await touch("a", { cookie: { ...COOKIE, expires: inMs(0) } });
    assert.equal(await get("a"), undefined);
  });

  test("a session whose cookie has no expiry has the store's ttl, and get does not reset it", async () => {
    const { set, get, touch, onlyKey } = openStore({ ttl: 100 });
    await set("a", { cookie: COOKIE });
    const key = await onlyKey();
    const left = await redis.pTTL(key);
    assert.ok(left > 50_000 && left <= 100_000, String(left));
    await redis.expire(key, 50);
    await get("a");
    assert.ok((await redis.ttl(key)) <= 50);
    await touch("a", { cookie: COOKIE });
    assert.ok((await redis.ttl(key)) > 50);
  });

  test("no session outlives the absolute timeout, however long its cookie lasts, and none is lost", async () => {
    const expiries = [inMs(HOUR_MS), "9999-12-31T23:59:59.999Z", new Date(8.64e15).toISOString(), "no date"];
    for (const [i, expires] of expiries.entries()) {
      const { set, touch, get, prefix, onlyKey } = openStore({ ttl: 10, absoluteTtl: 10 });
      const data = { cookie: { ...COOKIE, expires }, i };
      await set("a", data);
      assert.deepEqual(await get("a"), data);
      await touch("a", data);
      assert.deepEqual(await get("a"), data);
      const left = await redis.ttl(await onlyKey());
      assert.ok(left > 0 && left <= 10, `${expires}: ${left}`);
      await assertExpiries(redis, prefix);
    }
    const { set, touch, get, onlyKey } = openStore();
    await set("a", { cookie: COOKIE });
    for (const text of ["text", "inf", "1e300"]) {
      await redis.hSet(await onlyKey(), "session_deadline", text); // as another program may do
      await set("a", { cookie: COOKIE });
      assert.ok(Number(await redis.hGet(await onlyKey(), "session_deadline")) < Date.now(), text);
    }
    await redis.hSet(await onlyKey(), "session_deadline", 1);
    await touch("a", { cookie: COOKIE });
    assert.equal(await get("a"), undefined);
  });

  test("what is not a session reads as none, is not written to, and does not stop all, length and clear", async () => {
    const { get, set, touch, all, length, clear, keys, onlyKey } = openStore();
    const data = { cookie: COOKIE, count: 1 };
    const broken = {
      "data that is not JSON": { data: "{" },
      "data that is no object": { data: "5" },
      "a cookie that is not JSON": { cookie: "{" },
      "a cookie that is no object": { cookie: "5" }, // express-session throws a TypeError for it
    };
    for (const [id, fields] of Object.entries(broken)) {
      await set(id, data);
      for (const key of await keys())
        if ((await redis.hGet(key, "id")) === JSON.stringify(id)) await redis.hSet(key, fields);
    }
    await set("good", data);
    for (const id of Object.keys(broken)) assert.equal(await get(id), undefined, id);
    assert.deepEqual({ ...(await all()) }, { good: data });
    assert.equal(await length(), 5);
    await clear();
    assert.deepEqual(await keys(), []);

    await set("another type", data);
    const key = await onlyKey();
    await redis.del(key);
    await redis.set(key, "text", { EX: 60 });
    await touch("another type", data);
    assert.equal(await get("another type"), undefined);
    assert.equal(await length(), 0);
    assert.equal(await redis.get(key), "text");
    await set("another type", data);
    assert.deepEqual(await get("another type"), data);
  });

  test("with hashIds, Redis holds no ID", async () => {
    const { get, set, all, keys } = openStore({ hashIds: true });
    await set("a secret ID", { cookie: COOKIE, count: 1 });
    assert.deepEqual(await get("a secret ID"), { cookie: COOKIE, count: 1 });
    const [key] = await keys();
    assert.doesNotMatch(JSON.stringify([key, await redis.hGetAll(key!)]), /secret/);
    assert.deepEqual(Object.values(await all()), [{ cookie: COOKIE, count: 1 }]);
  });

  test("a session may have at most a megabyte, or as many bytes as maxWriteBytes says", async () => {
    await openStore().set("a", { cookie: COOKIE, text: "x".repeat(1_000_000) });
    await assert.rejects(openStore().set("a", { cookie: COOKIE, text: "x".repeat(1_048_577) }), RangeError);
    await assert.rejects(
      openStore({ maxWriteBytes: 100 }).set("a", { cookie: COOKIE, text: "x".repeat(100) }),
      RangeError,
    );
  });

  test("data that JSON cannot represent is an error of set, and does not end the process", async () => {
    const circular: Data = { cookie: COOKIE };
    circular["self"] = circular;
    await assert.rejects(openStore().set("a", circular), TypeError);
    await assert.rejects(openStore().set("a", { cookie: COOKIE, big: 1n }), TypeError);
  });

  test("every operation calls back, if it is given a callback", async () => {
    const { store } = openStore();
    const data = { cookie: COOKIE, count: 1 } as never;
    assert.deepEqual(await call((callback) => store.set("a", data, callback)), [null, undefined]);
    assert.deepEqual(await call((callback) => store.touch("a", data, callback)), [null, undefined]);
    assert.deepEqual(await call((callback) => store.get("a", callback)), [null, data]);
    assert.deepEqual(await call((callback) => store.all(callback)), [null, await store.all()]);
    assert.deepEqual(await call((callback) => store.length(callback)), [null, 1]);
    assert.deepEqual(await call((callback) => store.clear(callback)), [null, undefined]);
    assert.deepEqual(await call((callback) => store.destroy("a", callback)), [null, undefined]);
    assert.deepEqual(await call((callback) => store.get("a", callback)), [null, undefined]);
    const [error] = await call((callback) => store.set("a", { big: 1n } as never, callback));
    assert.ok(error instanceof TypeError);
    await assert.rejects(store.touch("a", undefined as never), TypeError);
  });

  test("every operation rejects within timeoutMs if Redis hangs", async (t) => {
    const server = await spawnRedis(t);
    const socket = { port: server.port };
    const client = createClient({ socket }).on("error", () => {});
    const pool = createClientPool({ socket }).on("error", () => {});
    t.after(() => {
      client.destroy();
      pool.destroy();
    });
    await Promise.all([client.connect(), pool.connect()]);
    const data = { cookie: COOKIE };
    const stores = [client, pool].map((each) => openStore({ redis: each, timeoutMs: 100 }));
    server.hang();
    for (const { get, set, touch, destroy, all, length, clear } of stores) {
      const operations = [get("a"), set("a", data), touch("a", data), destroy("a"), all(), length(), clear()];
      for (const outcome of await Promise.allSettled(operations)) {
        assert.equal(outcome.status, "rejected");
        assert.equal(String(outcome.reason), "RedisUnavailableError: Redis did not reply within 100 ms");
      }
    }
    server.resume();
  });

  test("every operation reports that Redis is unavailable", async () => {
    const client = await connect();
    const { get, set, touch, destroy, all, length, clear } = openStore({ redis: client });
    client.destroy();
    const data = { cookie: COOKIE };
    const operations = [get("a"), set("a", data), touch("a", data), destroy("a"), all(), length(), clear()];
    for (const outcome of await Promise.allSettled(operations)) {
      assert.equal(outcome.status, "rejected");
      assert.ok(outcome.reason instanceof RedisUnavailableError, String(outcome.reason));
    }
  });

  test("all, length and clear accept a pool and connectRedis, and reject a client that cannot scan", async () => {
    const pool = createClientPool({ socket: { host, port } });
    const openPool = async () => (await pool.connect()) as never;
    const target = { host: "127.0.0.1", port, cluster: isCluster };
    for (const open of [() => connectPatiently(target), ...(isCluster ? [] : [openPool])]) {
      const client = await open();
      const { set, length } = openStore({ redis: client });
      await Promise.all(Array.from({ length: 10 }, async (_, i) => set(String(i), { cookie: COOKIE })));
      assert.equal(await length(), 10);
      await client.close();
    }
    const { evalSha, eval: evaluate } = redis;
    await assert.rejects(openStore({ redis: { evalSha, eval: evaluate } }).length(), {
      name: "TypeError",
      message: "all, length and clear need a client, cluster, sentinel or pool of node-redis",
    });
    const sentinel = createSentinel({ name: "main", sentinelRootNodes: [{ host, port }] });
    assert.equal(typeof sentinel.scan, "function");
  });
});

describe("an application with express-session", () => {
  test("counts, regenerates, reloads and destroys", async () => {
    const { browser, store } = await openApplication();
    assert.equal((await browser.post("/count")).text, "1");
    assert.equal((await browser.post("/count")).text, "2");
    const id = browser.cookies.get("connect.sid");
    assert.equal((await browser.post("/regenerate")).text, "0");
    assert.notEqual(browser.cookies.get("connect.sid"), id);
    assert.equal((await browser.post("/count")).text, "1");
    assert.equal((await browser.post("/reload")).text, "1");
    assert.equal((await browser.post("/destroy")).text, "destroyed");
    assert.equal((await browser.post("/count")).text, "1");
    assert.equal(await store.length(), 1);
  });

  test("a slow request that saves its session after a log-out does not bring it back", async () => {
    for (const slow of ["/slow-change", "/slow-save", "/slow-touch"]) {
      const { browser, store, release } = await openApplication();
      await browser.post("/count");
      const request = browser.post(slow);
      await until(() => release.isWaiting());
      await browser.post("/destroy");
      release.go();
      assert.equal((await request).status, 200);
      assert.equal(await store.length(), 0, slow);
    }
  });

  test("a new session that is destroyed between two saves of its first request stays destroyed", async () => {
    const { browser, store, release } = await openApplication();
    const request = browser.post("/save-twice");
    await until(() => release.isWaiting());
    assert.equal(await store.length(), 1);
    await store.clear();
    release.go();
    assert.equal((await request).status, 200);
    assert.equal(await store.length(), 0);
  });

  test("reading a session resets its cookie's expiry", async () => {
    const { browser, store } = await openApplication({ maxAge: HOUR_MS });
    await browser.post("/count");
    const [first] = Object.values(await store.all());
    await sleep(5);
    await browser.get("/");
    const [second] = Object.values(await store.all());
    assert.ok(expiry(second) > expiry(first));
  });

  test("if Redis is unavailable, the application gets the error, nobody is signed out, and the process goes on", async () => {
    const client = await connect();
    const { browser, release } = await openApplication({}, { redis: client });
    await browser.post("/count");
    const cookies = [...browser.cookies];
    const request = browser.post("/slow-destroy");
    assert.ok(await until(() => release.isWaiting()));
    client.destroy();
    release.go();
    assert.equal((await request).text, "destroyed, or not");
    const reply = await browser.get("/");
    assert.equal(reply.status, 503);
    assert.deepEqual([...browser.cookies], cookies);
  });
});

declare module "express-session" {
  interface SessionData {
    count: number;
  }
}

const count: RequestHandler = (request, response) => {
  request.session.count = (request.session.count ?? 0) + 1;
  response.send(String(request.session.count));
};
const show: RequestHandler = (request, response) => void response.send(String(request.session.count ?? 0));

const save: RequestHandler = (request, _response, next) => void request.session.save(next);

const onError: express.ErrorRequestHandler = (error, _request, response, _next) => {
  response.sendStatus(error instanceof RedisUnavailableError ? 503 : 500);
};

/** A request to a path with "slow", and the second part of "/save-twice", wait for `release.go()`. */
async function openApplication(cookie: session.CookieOptions = {}, options: Partial<ExpressSessionStoreOptions> = {}) {
  const opened = openStore(options);
  let proceed: (() => void) | undefined;
  const wait: RequestHandler = (_request, _response, next) => {
    proceed = next;
  };
  const app = express();
  const middleware = { store: opened.store, secret: "a secret", resave: false, saveUninitialized: false, cookie };
  app.use(session(middleware));
  app.get("/", show);
  app.post("/count", count);
  app.post("/regenerate", (request, response, next) => {
    request.session.regenerate((error) => {
      if (error) next(error);
      else show(request, response, next);
    });
  });
  app.post("/reload", (request, response, next) => {
    request.session.count = 99;
    request.session.reload((error) => {
      if (error) next(error);
      else show(request, response, next);
    });
  });
  app.post("/destroy", (request, response, next) => {
    request.session.destroy((error: unknown) => {
      if (error) next(error);
      else response.send("destroyed");
    });
  });
  app.post("/slow-destroy", wait, (request, response) => {
    (request.session.destroy as unknown as () => void).call(request.session);
    response.send("destroyed, or not");
  });
  app.post("/slow-change", wait, count);
  app.post("/slow-touch", wait, show);
  app.post("/slow-save", wait, (request, response, next) => {
    request.session.save((error: unknown) => {
      if (error) next(error);
      else show(request, response, next);
    });
  });
  app.post("/save-twice", save, wait, count);
  app.use(onError);
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  const browser = new Browser(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  return { browser, store: opened, release: { go: () => proceed?.(), isWaiting: () => proceed !== undefined } };
}

/** What the operation passes to its callback. */
function call(operation: (callback: (...result: unknown[]) => void) => unknown): Promise<unknown[]> {
  return new Promise((resolve) => void operation((...result) => resolve(result)));
}

function expiry(data: Data | undefined): number {
  return Date.parse((data!["cookie"] as { expires: string }).expires);
}

function sorted(data: Data | undefined): [string, unknown][] {
  return Object.entries(data ?? {}).toSorted(([first], [second]) => (first < second ? -1 : 1));
}
