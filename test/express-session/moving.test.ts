import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { after, describe, test } from "node:test";
import { RedisStore } from "connect-redis";
import express from "express";
import session, { type CookieOptions, type Store } from "express-session";
import { createClient } from "redis";
import { ExpressSessionStore, type ExpressSessionStoreOptions } from "../../express-session-store.ts";
import { Browser } from "../browser.ts";
import { PASSWORD, RULES, TO_SCAN, USER, WHILE_MOVING } from "../redis-acl.ts";
import { openRedis } from "../redis-connection.ts";
import { spawnRedis } from "../redis-process.ts";
import { keysLike, newPrefix, NO_HURRY } from "../store-under-test.ts";
import { forEverySchedule, randomFrom, runInterleaved, type Schedule, type Work } from "../users/scheduler.ts";

const { redis } = await openRedis();

const HOUR = 3600;
const COOKIE = { originalMaxAge: null, expires: null, httpOnly: true, path: "/" };
const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1000).toISOString();

/** Its types demand a `ttl`, its default is 86,400. */
const openOld = (prefix: string) => new RedisStore({ client: redis, prefix } as never);

/** An application's sessions, with a store for each kind of server that may use them while it moves. */
function openStores(options: Partial<ExpressSessionStoreOptions> = {}) {
  const prefix = newPrefix();
  const oldPrefix = newPrefix();
  const open = (more: Partial<ExpressSessionStoreOptions>) =>
    new ExpressSessionStore({ redis, prefix, ...NO_HURRY, ...options, ...more });
  const old = openOld(oldPrefix);
  const sharing = (more = {}) => open({ sharePrefix: oldPrefix, ...more });
  const takingOver = (more = {}) => open({ takeOverPrefix: oldPrefix, ...more });
  return {
    old,
    sharing,
    takingOver,
    moved: open({}),
    oldKey: (id: string) => oldPrefix + id,
    newKey: (id: string) => prefix + createHash("sha256").update(JSON.stringify(id)).digest("base64url"),
    oldKeys: () => keysLike(redis, `${oldPrefix}*`),
    newKeys: () => keysLike(redis, `${prefix}*`),
    /** The keys of sessions, without the marks of those that were destroyed. */
    newSessions: async () => {
      const keys = await keysLike(redis, `${prefix}*`);
      const types = await Promise.all(keys.map((key) => redis.type(key)));
      return keys.filter((_, i) => types[i] === "hash");
    },
  };
}

/** express-session and its like pass objects of a class to `set`. */
const loaded = (data: object) => Object.assign(Object.create({}) as object, data) as never;

type Visit = { count?: number };
const countOf = (data: unknown) => (data as Visit | undefined)?.count;
const sessionWith = (count: number, cookie: object = COOKIE) => ({ cookie, count }) as never;

describe("step 1, with connect-redis on other servers:", () => {
  test("sessions are written as connect-redis writes them", async () => {
    const { old, sharing, oldKey, newSessions } = openStores();
    const cookies = { none: COOKIE, "an hour": { ...COOKIE, originalMaxAge: HOUR * 1000, expires: inSeconds(HOUR) } };
    for (const [name, cookie] of Object.entries(cookies)) {
      await old.set("old", sessionWith(1, cookie));
      await sharing().set("new", sessionWith(1, cookie));
      assert.equal(await redis.get(oldKey("new")), await redis.get(oldKey("old")));
      const [oldTtl, newTtl] = await Promise.all([redis.ttl(oldKey("old")), redis.ttl(oldKey("new"))]);
      assert.ok(Math.abs(oldTtl - newTtl) <= 1, `${name}: ${oldTtl} and ${newTtl}`);
    }
    assert.deepEqual(await newSessions(), []);
  });

  test("touch resets the expiry, and a cookie that has expired ends the session, as in connect-redis", async () => {
    const { old, sharing, oldKey, oldKeys } = openStores();
    await old.set("a", sessionWith(1));
    await redis.expire(oldKey("a"), 10);
    await sharing().touch("a", sessionWith(2));
    assert.ok((await redis.ttl(oldKey("a"))) > 86_000);
    assert.equal(countOf(await old.get("a")), 1);
    await sharing().touch("b", sessionWith(1));
    await sharing().set("a", sessionWith(1, { ...COOKIE, expires: inSeconds(-1) }));
    assert.deepEqual(await oldKeys(), []);
  });

  test("a session whose cookie says that it has expired is alive for as long as its key is", async () => {
    const { old, sharing, takingOver, oldKey } = openStores();
    await old.set("a", sessionWith(1, { ...COOKIE, originalMaxAge: 1000, expires: inSeconds(1) }));
    const text = (await redis.get(oldKey("a")))!;
    await redis.set(oldKey("a"), text.replace(/"20\d\d/, '"2020'), { EX: 60 });
    const sharingStore = sharing();
    const data = (await sharingStore.get("a"))!;
    await sharingStore.set("a", loaded({ ...data, count: 2 })); // request.session.save()
    assert.equal(countOf(await sharingStore.get("a")), 2);
    await redis.set(oldKey("a"), text.replace(/"20\d\d/, '"2020'), { EX: 60 });
    assert.equal(countOf(await takingOver().get("a")), 1);
    assert.equal(countOf(await takingOver().get("a")), 1);
  });

  test("a session is the same on every server, whichever a browser reaches, and nobody is signed out", async () => {
    for (const cookie of [{}, { maxAge: 60_000 }]) {
      const { old, sharing } = openStores();
      const site = await openSite([old, sharing(), sharing()], cookie);
      const random = randomFrom(1);
      await site.countUp(40, () => Math.floor(random() * 3));
    }
  });

  test("a log-out on any server is one on all", async () => {
    const { old, sharing, oldKeys } = openStores();
    for (const destroy of [0, 1]) {
      const site = await openSite([old, sharing()]);
      await site.countUp(1, () => 1 - destroy);
      await site.browserOf(destroy).post("/destroy");
      assert.deepEqual(await oldKeys(), []);
      assert.equal((await site.browserOf(1 - destroy).get("/")).text, "0");
    }
  });

  test("a slow request that saves its session after a log-out does not bring it back", async () => {
    const { sharing, oldKeys, newSessions } = openStores();
    const store = sharing();
    await store.set("a", sessionWith(1));
    const data = (await store.get("a"))!;
    await sharing().destroy("a");
    await store.set("a", loaded({ ...data, count: 2 }));
    await store.touch("a", loaded(data));
    assert.deepEqual([await oldKeys(), await newSessions()], [[], []]);
  });
});

describe("step 2, when connect-redis is gone:", () => {
  test("a session that connect-redis has left is taken over at its first use, with the time that it has left", async () => {
    for (const [cookie, left] of [
      [COOKIE, 86_400],
      [{ ...COOKIE, originalMaxAge: HOUR * 1000, expires: inSeconds(HOUR) }, HOUR],
    ] as const) {
      const { old, takingOver, oldKeys, newKeys } = openStores();
      await old.set("a", sessionWith(1, cookie));
      const store = takingOver();
      assert.equal(countOf(await store.get("a")), 1);
      assert.deepEqual(await oldKeys(), []);
      const [key, ...others] = await newKeys();
      assert.deepEqual(others, []);
      const ttl = await redis.ttl(key!);
      assert.ok(ttl > left - 60 && ttl <= left, String(ttl));
      assert.equal(countOf(await store.get("a")), 1);
      assert.equal(await redis.hExists(key!, "copied_from"), 0);
    }
  });

  test("a session without an expiry gets one when it is taken over", async () => {
    const { takingOver, oldKey, newKeys, oldKeys } = openStores();
    await redis.set(oldKey("a"), JSON.stringify(sessionWith(1)));
    await redis.set(oldKey("b"), JSON.stringify(sessionWith(2, { originalMaxAge: 60_000, expires: inSeconds(-60) })));
    assert.equal(countOf(await takingOver().get("b")), 2);
    const ttl = await redis.ttl((await newKeys())[0]!);
    assert.ok(ttl > 0 && ttl <= 60, String(ttl));
    assert.equal(countOf(await takingOver().get("a")), 1);
    assert.deepEqual(await oldKeys(), []);
    for (const originalMaxAge of [60_000.5, -1, 1e300, "soon", {}]) {
      const id = JSON.stringify(originalMaxAge);
      await redis.set(oldKey(id), JSON.stringify(sessionWith(3, { originalMaxAge })));
      await takingOver().get(id);
      for (const key of [...(await newKeys()), ...(await oldKeys())]) assert.ok((await redis.pTTL(key)) > 0, id);
    }
  });

  test("all that a session holds is taken over, and nothing of it is an ID with hashIds", async () => {
    const { old, takingOver, newKeys } = openStores({ hashIds: true });
    const data = { cookie: COOKIE, user: { name: "andrew" }, "": "é😀", big: "x".repeat(2_000_000), id: 1, ttl: 2 };
    await old.set("a secret ID", data);
    assert.deepEqual(await takingOver().get("a secret ID"), data);
    const [key] = await newKeys();
    assert.doesNotMatch(JSON.stringify([key, await redis.hGetAll(key!)]), /secret/);
  });

  test("servers at step 1 and at step 2 serve the same browsers", async () => {
    const { old, sharing, takingOver, moved, oldKeys } = openStores();
    const site = await openSite([old, sharing(), takingOver(), moved], { maxAge: 60_000 });
    const random = randomFrom(2);
    await site.countUp(5, () => Math.floor(random() * 2));
    await site.countUp(30, () => 1 + Math.floor(random() * 2));
    await site.countUp(5, () => 2);
    assert.deepEqual(await oldKeys(), []);
    await site.countUp(5, () => 3);
  });

  test("a session that is created again under its ID replaces the old one", async () => {
    const { old, takingOver, oldKeys } = openStores();
    await old.set("a", sessionWith(1));
    await takingOver().set("a", sessionWith(2));
    assert.deepEqual(await oldKeys(), []);
    await takingOver().destroy("a");
    assert.equal(await takingOver().get("a"), undefined);
    await takingOver().set("a", sessionWith(3));
    assert.equal(countOf(await takingOver().get("a")), 3);
  });
});

describe("in both steps", () => {
  const steps = ["sharing", "takingOver"] as const;

  test("what is not a session of connect-redis reads as none, and is left alone", async () => {
    for (const step of steps) {
      const stores = openStores();
      const texts = ["", "{", "null", "5", '"text"', "[]", "{}", '{"cookie":null}', '{"cookie":5}', '{"count":1}'];
      const store = stores[step]();
      for (const [i, text] of texts.entries()) {
        await redis.set(stores.oldKey(String(i)), text, { EX: 60 });
        assert.equal(await store.get(String(i)), undefined, text);
      }
      await redis.hSet(stores.oldKey("hash"), "cookie", "{}");
      await redis.expire(stores.oldKey("hash"), 60);
      assert.equal(await store.get("hash"), undefined);
      await store.touch("hash", loaded({ cookie: COOKIE }));
      await store.destroy("hash");
      assert.deepEqual({ ...(await store.all()) }, {});
      assert.equal(await store.length(), 0);
      await store.clear();
      assert.equal((await stores.oldKeys()).length, texts.length + 1);
      assert.deepEqual(await stores.newSessions(), []);
    }
  });

  test("a browser whose session cannot be read is a new visitor", async () => {
    const stores = openStores();
    const site = await openSite([stores.sharing(), stores.takingOver()]);
    for (const server of [0, 1]) {
      await site.countUp(1, () => 0);
      for (const key of await stores.oldKeys()) await redis.set(key, "{", { EX: 60 });
      assert.equal((await site.browserOf(server).post("/count")).text, "1");
      await site.browserOf(server).post("/destroy");
      site.forget();
    }
  });

  test("all, length and clear find old and new sessions, each once", async () => {
    for (const step of steps) {
      const { old, moved, oldKeys, newSessions, ...stores } = openStores();
      for (let i = 0; i < 250; i++) await (i % 2 ? old : moved).set(String(i), sessionWith(i));
      const store = stores[step]();
      await store.get("1");
      await store.get("2");
      assert.equal(await store.length(), 250);
      const all = Object.entries(await store.all());
      assert.equal(all.length, 250);
      for (const [id, data] of all) assert.equal(String(countOf(data)), id);
      await store.clear();
      assert.deepEqual([await oldKeys(), await newSessions()], [[], []]);
    }
  });

  test("the prefix of connect-redis may be that of this store, or empty", async () => {
    const prefix = newPrefix();
    const old = openOld(prefix);
    await old.set("a", sessionWith(1));
    const store = new ExpressSessionStore({ redis, ...NO_HURRY, prefix, takeOverPrefix: prefix });
    assert.equal(await store.length(), 1);
    assert.equal(countOf(await store.get("a")), 1);
    assert.equal(await store.length(), 1);
    assert.equal(countOf(await store.get("a")), 1);
    const empty = new ExpressSessionStore({ redis, ...NO_HURRY, prefix: newPrefix(), takeOverPrefix: "" });
    await openOld("").set(`${prefix}b`, sessionWith(2));
    assert.equal(countOf(await empty.get(`${prefix}b`)), 2);
  });

  test("ttl is by default that of connect-redis, or the absolute timeout if that is less", async () => {
    for (const [options, expected] of [
      [{}, 86_400],
      [{ absoluteTtl: 600 }, 600],
      [{ ttl: 60 }, 60],
    ] as const) {
      const { takingOver, newKeys } = openStores(options);
      await takingOver().set("a", sessionWith(1));
      const ttl = await redis.ttl((await newKeys())[0]!);
      assert.ok(ttl > expected - 60 && ttl <= expected, String(ttl));
    }
  });

  test("the rights in redis-acl.txt are enough", async (t) => {
    const server = await spawnRedis(t);
    const rules = [...RULES, ...TO_SCAN, ...WHILE_MOVING];
    await server.send("ACL", "SETUSER", USER, "on", `>${PASSWORD}`, ...rules);
    const client = createClient({ username: USER, password: PASSWORD, socket: { port: server.port } });
    await client.on("error", () => {}).connect();
    t.after(() => client.destroy());
    for (const options of [{ sharePrefix: "sess:" }, { takeOverPrefix: "sess:" }, {}]) {
      const store = new ExpressSessionStore({ redis: client, ...NO_HURRY, ...options });
      await server.send("SET", "sess:a", JSON.stringify(sessionWith(1)), "EX", "60");
      await store.get("a");
      for (const id of ["a", "b"]) await store.set(id, sessionWith(2));
      await store.touch("a", sessionWith(2));
      assert.equal(await store.length(), 2);
      await store.destroy("a");
      assert.deepEqual(Object.keys(await store.all()), ["b"]);
      await store.clear();
    }
  });

  test("wrong options are refused", () => {
    assert.throws(() => openStores().sharing({ takeOverPrefix: "sess:" }), {
      name: "TypeError",
      message: "sharePrefix and takeOverPrefix are two steps: give only one of them",
    });
    assert.throws(() => openStores().sharing({ sharePrefix: 5 }), {
      name: "TypeError",
      message: "sharePrefix and takeOverPrefix must be strings; got number",
    });
  });
});

const NO_TIME_LIMIT = { timeoutMs: 600_000 }; // a command is held back as long as the schedule wants

/** One session of connect-redis, and requests that use it at the same time. */
class Run {
  readonly stores = openStores();
  readonly #seen: unknown[] = [];

  async begin(): Promise<this> {
    await this.stores.old.set("a", sessionWith(1));
    return this;
  }

  get: Work = async (connection) => {
    this.#seen.push(countOf(await this.stores.takingOver({ redis: connection, ...NO_TIME_LIMIT }).get("a")));
  };

  /** A request on a server of either step that reads the session, changes and saves it. */
  change(step: "sharing" | "takingOver"): Work {
    return async (connection) => {
      const store = this.stores[step]({ redis: connection, ...NO_TIME_LIMIT });
      const data = await store.get("a");
      if (data) await store.set("a", loaded({ ...data, count: 2 }));
    };
  }

  destroy(step: "sharing" | "takingOver"): Work {
    return (connection) => this.stores[step]({ redis: connection, ...NO_TIME_LIMIT }).destroy("a");
  }

  /** The types and the seconds left of what is at the old key and at the new one. */
  async #peek() {
    const { oldKey, newKey } = this.stores;
    return Promise.all([oldKey("a"), newKey("a")].map((key) => Promise.all([redis.type(key), redis.ttl(key)])));
  }

  async assertIsSomewhere(): Promise<void> {
    const [[oldType, oldTtl], [newType, newTtl]] = (await this.#peek()) as [[string, number], [string, number]];
    assert.ok(oldType === "string" || newType === "hash", "The session is lost");
    assert.ok(oldTtl !== -1 && newTtl !== -1, "A key has no expiry");
  }

  /** Everyone has found the session, and at its next use it is in one place. */
  async assertMoved(count: number): Promise<void> {
    assert.ok(!this.#seen.includes(undefined), "A request has found no session");
    assert.equal(countOf(await this.stores.takingOver().get("a")), count);
    const { oldKey, newKey } = this.stores;
    assert.deepEqual([await redis.exists(oldKey("a")), await redis.hExists(newKey("a"), "copied_from")], [0, 0]);
  }

  async assertDestroyed(): Promise<void> {
    for (const store of [this.stores.sharing(), this.stores.takingOver()])
      assert.equal(await store.get("a"), undefined);
    const [[oldType], [newType, newTtl]] = (await this.#peek()) as [[string, number], [string, number]];
    assert.deepEqual([oldType, newType], ["none", "string"]);
    assert.ok(newTtl > 0);
  }
}

const isSomewhere = (run: Run) => run.assertIsSomewhere();
const isMoved = (count: number) => (run: Run) => run.assertMoved(count);
const isDestroyed = (run: Run) => run.assertDestroyed();

const randomChoice = (seed: number): Schedule["choose"] => {
  const random = randomFrom(seed);
  return (count) => Math.floor(random() * count);
};

async function interleave(
  works: (run: Run) => Work[],
  {
    samples,
    ...check
  }: { samples?: number; afterEach?: (run: Run) => Promise<void>; end: (run: Run) => Promise<void> },
): Promise<void> {
  const runOnce = async (choose: Schedule["choose"]) => {
    const run = await new Run().begin();
    const afterEach = async () => check.afterEach?.(run);
    const errors = await runInterleaved(redis, works(run), { choose, afterEach });
    assert.deepEqual(errors, []);
    await check.end(run);
  };
  if (samples === undefined) await forEverySchedule(runOnce);
  else await Promise.all(Array.from({ length: samples }, async (_, seed) => runOnce(randomChoice(seed))));
}

describe("one command at a time,", async () => {
  // Every node caches the scripts, so that each step is one command: no EVAL follows a refused EVALSHA.
  for (let i = 0; i < 50; i++) {
    const { old, sharing, takingOver } = openStores();
    await old.set("a", sessionWith(1));
    for (const store of [sharing(), takingOver()]) {
      await store.set("a", loaded((await store.get("a"))!));
      await store.touch("a", loaded({ cookie: COOKIE }));
    }
    for (const store of [sharing(), takingOver()]) await store.destroy("a");
  }

  test("requests at step 2 that find an old session at the same time all get it, and take it over once", async () => {
    const end = isMoved(1);
    await interleave((run) => [run.get, run.get], { samples: 60, afterEach: isSomewhere, end });
    await interleave((run) => [run.get, run.get, run.get], { samples: 60, afterEach: isSomewhere, end });
  });

  test("what a request at step 1 or 2 saves while a session is taken over is not lost", async () => {
    const end = isMoved(2);
    for (const step of ["sharing", "takingOver"] as const) {
      await interleave((run) => [run.get, run.change(step)], { samples: 60, afterEach: isSomewhere, end });
      await interleave((run) => [run.get, run.get, run.change(step)], { samples: 60, afterEach: isSomewhere, end });
    }
  });

  test("a session that is destroyed while it is taken over stays destroyed", async () => {
    const end = isDestroyed;
    for (const step of ["sharing", "takingOver"] as const) {
      await interleave((run) => [run.get, run.destroy(step)], { end });
      for (const slow of ["sharing", "takingOver"] as const) {
        await interleave((run) => [run.get, run.change(slow), run.destroy(step)], { samples: 60, end });
      }
    }
  });

  test("a server that crashes while it takes a session over loses nothing", async () => {
    for (let commands = 0; commands <= 8; commands++) {
      const run = await new Run().begin();
      await runInterleaved(redis, [run.get], { choose: () => 0, crash: { process: 0, after: commands } });
      await run.assertIsSomewhere();
      await run.assertMoved(1);
    }
  });

  test("a server that crashes while it destroys a session has destroyed it once it began", async () => {
    for (let commands = 1; commands <= 2; commands++) {
      const run = await new Run().begin();
      const destroy = run.destroy("takingOver");
      await runInterleaved(redis, [destroy], { choose: () => 0, crash: { process: 0, after: commands } });
      assert.equal(await run.stores.takingOver().get("a"), undefined);
      await run.assertDestroyed();
    }
  });
});

/** Servers with these stores, and one browser that may send each of its requests to another server. */
async function openSite(stores: Store[], cookie: CookieOptions = {}) {
  const browsers = await Promise.all(stores.map(async (store) => new Browser(await listen(store, cookie))));
  const [{ cookies }] = browsers as [Browser];
  for (const browser of browsers) Object.assign(browser, { cookies });
  let count = 0;
  return {
    browserOf: (server: number) => browsers[server]!,
    async countUp(times: number, choose: () => number): Promise<void> {
      for (let i = 0; i < times; i++) {
        const server = choose();
        assert.equal((await browsers[server]!.post("/count")).text, String(++count), `server ${server}`);
        assert.equal((await browsers[choose()]!.get("/")).text, String(count));
      }
    },
    forget(): void {
      cookies.clear();
      count = 0;
    },
  };
}

async function listen(store: Store, cookie: CookieOptions): Promise<string> {
  const app = express();
  app.use(session({ store, secret: "a secret", resave: false, saveUninitialized: false, cookie }));
  app.get("/", (request, response) => void response.send(String(request.session.count ?? 0)));
  app.post("/count", (request, response) => {
    request.session.count = (request.session.count ?? 0) + 1;
    response.send(String(request.session.count));
  });
  app.post("/destroy", (request, response, next) => {
    request.session.destroy((error: unknown) => (error ? next(error) : void response.send("destroyed")));
  });
  const server = http.createServer(app).listen(0, "127.0.0.1");
  await once(server, "listening");
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
