import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseSetCookie } from "cookie";
import { type CookieJar, headerJar, RequestSession, SessionCookie } from "../../session-cookie.ts";
import { RedisSessionStore, RedisUnavailableError } from "../../session-store.ts";
import { openRedis } from "../redis-connection.ts";
import { keysLike, newPrefix, NO_HURRY } from "../store-under-test.ts";

const { redis, connect } = await openRedis();
const fields = { username: String, admin: Boolean, cart_items: Number };
const store = new RedisSessionStore({ redis, prefix: newPrefix(), fields, ...NO_HURRY });
const cookie = new SessionCookie();
const DEAD_ID = "x".repeat(43);

const throwSent = () => assert.fail("The response has been sent");

/** A browser that sends one request at a time, or several that wait for their responses. */
class TestBrowser {
  readonly cookies = new Map<string, string>();

  /** A request as it is sent now. Its response reaches the browser with `receive`. */
  send() {
    const setCookies: string[] = [];
    const header = Array.from(this.cookies, (pair) => pair.join("=")).join("; ");
    const session = new RequestSession(
      store,
      cookie,
      headerJar(header, (value) => setCookies.push(value)),
    );
    const receive = () => {
      for (const { name, value = "", maxAge } of setCookies.map((line) => parseSetCookie(line))) {
        if (maxAge === 0) this.cookies.delete(name);
        else this.cookies.set(name, value);
      }
      return setCookies;
    };
    return { session, receive };
  }

  get id(): string | undefined {
    return this.cookies.get("sid");
  }
}

/** Sends a request, has it handled, and receives the response. */
async function exchange<Result>(
  browser: TestBrowser,
  handle: (session: ReturnType<TestBrowser["send"]>["session"]) => Promise<Result>,
) {
  const { session, receive } = browser.send();
  const result = await handle(session);
  return { result, setCookies: receive() };
}

describe("the session of a request", () => {
  test("a request without a cookie has no session, and sets no cookie", async () => {
    const browser = new TestBrowser();
    const { result, setCookies } = await exchange(browser, (session) => session.read({ clearIfGone: true }));
    assert.equal(result, null);
    assert.deepEqual(setCookies, []);
  });

  test("the first write creates a session and sets the cookie; the next one writes to it", async () => {
    const browser = new TestBrowser();
    const first = await exchange(browser, (session) => session.write({ cart_items: 1 }));
    assert.equal(first.result, true);
    assert.deepEqual(first.setCookies, [`sid=${browser.id}; Path=/; HttpOnly; SameSite=Lax`]);
    const second = await exchange(browser, (session) => session.write({ cart_items: 2 }));
    assert.deepEqual(second, { result: true, setCookies: [] });
    const { result } = await exchange(browser, (session) => session.read());
    assert.equal(result?.cart_items, 2);
  });

  test("a request can read what it has written", async () => {
    const { session } = new TestBrowser().send();
    await session.write({ cart_items: 1 });
    assert.equal((await session.read())?.cart_items, 1);
    assert.equal(await store.incrementField(session.id, "cart_items"), 2);
    await session.logIn({ username: "andrew" }, { keep: ["cart_items"] });
    assert.equal((await session.read())?.username, "andrew");
    await session.logOut();
    assert.equal(await session.read(), null);
    assert.equal(session.id, undefined);
  });

  test("a read resets the idle timeout", async () => {
    const id = await store.createSession({}, { ttl: 100 });
    await redis.expire(store.keyOf(id), 50);
    const browser = new TestBrowser();
    browser.cookies.set("sid", id);
    await exchange(browser, (session) => session.read({ refreshTtl: false }));
    assert.ok((await redis.ttl(store.keyOf(id))) <= 50);
    await exchange(browser, (session) => session.read());
    assert.ok((await redis.ttl(store.keyOf(id))) > 90);
  });

  test("only a page load clears the cookie of a session that is gone", async () => {
    const browser = new TestBrowser();
    browser.cookies.set("sid", DEAD_ID);
    const quiet = await exchange(browser, (session) => session.read());
    assert.deepEqual(quiet, { result: null, setCookies: [] });
    const write = await exchange(browser, (session) => session.write({ cart_items: 1 }));
    assert.deepEqual(write, { result: false, setCookies: [] });
    const load = await exchange(browser, (session) => session.read({ clearIfGone: true }));
    assert.deepEqual(load, { result: null, setCookies: ["sid=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"] });
    assert.equal(browser.id, undefined);
  });

  test("a cookie of the same name that holds no session ID is not cleared, and is replaced by a write", async () => {
    const browser = new TestBrowser();
    browser.cookies.set("sid", "s:of.another.application");
    const load = await exchange(browser, (session) => session.read({ clearIfGone: true }));
    assert.deepEqual(load, { result: null, setCookies: [] });
    await exchange(browser, (session) => session.write({ cart_items: 1 }));
    assert.equal((await store.getSession(browser.id))?.cart_items, 1);
  });

  test("a write with create: false writes to the session of the cookie, and creates none", async () => {
    const browser = new TestBrowser();
    const without = await exchange(browser, (session) => session.write({ cart_items: 1 }, { create: false }));
    assert.deepEqual(without, { result: false, setCookies: [] });
    await exchange(browser, (session) => session.logIn({ username: "andrew" }));
    const { result } = await exchange(browser, (session) => session.write({ cart_items: 1 }, { create: false }));
    assert.equal(result, true);
    assert.equal((await store.getSession(browser.id))?.cart_items, 1);
  });

  test("changes at the same time happen in the order in which they were begun", async () => {
    const browser = new TestBrowser();
    const { setCookies } = await exchange(browser, (session) =>
      Promise.all([session.write({ cart_items: 1 }), session.write({ username: "andrew" })]),
    );
    assert.equal(setCookies.length, 1);
    const written = await store.getSession(browser.id);
    assert.deepEqual([written?.cart_items, written?.username], [1, "andrew"]);

    const { result } = await exchange(browser, (session) =>
      Promise.all([session.rotate(), session.write({ cart_items: 2 })]),
    );
    assert.deepEqual(result, [true, true]);
    assert.equal((await store.getSession(browser.id))?.cart_items, 2);

    let id: string | undefined;
    await exchange(browser, async (session) => {
      const logIn = session.logIn({ username: "ada" }).then(() => (id = session.id));
      await Promise.all([logIn, session.logOut()]);
    });
    assert.deepEqual([browser.id, await store.getSession(id)], [undefined, null]);
    await exchange(browser, (session) => Promise.allSettled([session.logOut(), session.logIn({ username: "ada" })]));
    assert.equal((await store.getSession(browser.id))?.username, "ada");
  });

  test("a page load with a live session does not change the cookie", async () => {
    const browser = new TestBrowser();
    await exchange(browser, (session) => session.write({ cart_items: 1 }));
    const { setCookies } = await exchange(browser, (session) => session.read({ clearIfGone: true }));
    assert.deepEqual(setCookies, []);
  });
});

describe("log-in", () => {
  test("creates a session if there is none", async () => {
    const browser = new TestBrowser();
    await exchange(browser, (session) => session.logIn({ username: "andrew" }));
    assert.equal((await store.getSession(browser.id))?.username, "andrew");
  });

  test("keeps the fields named and nothing else, under a new ID, and ends the old session", async () => {
    const browser = new TestBrowser();
    await exchange(browser, (session) => session.write({ cart_items: 3, admin: true }));
    const oldId = browser.id;
    const { setCookies } = await exchange(browser, (session) =>
      session.logIn({ username: "andrew" }, { keep: ["cart_items"] }),
    );
    assert.equal(setCookies.length, 1);
    assert.notEqual(browser.id, oldId);
    const session = await store.getSession(browser.id);
    assert.deepEqual([session?.username, session?.cart_items, session?.admin], ["andrew", 3, undefined]);
    assert.equal(await store.getSession(oldId), null);
  });

  test("does not keep the rights of another user", async () => {
    const browser = new TestBrowser();
    await exchange(browser, (session) => session.logIn({ username: "admin", admin: true }));
    const oldId = browser.id;
    await exchange(browser, (session) => session.logIn({ username: "andrew" }));
    assert.equal((await store.getSession(browser.id))?.admin, undefined);
    assert.equal(await store.getSession(oldId), null);
  });

  test("prefers the values of the log-in to those that are kept", async () => {
    const browser = new TestBrowser();
    await exchange(browser, (session) => session.write({ cart_items: 3, admin: true }));
    const data = { username: "andrew", cart_items: 0, admin: null };
    await exchange(browser, (session) => session.logIn(data, { keep: ["cart_items", "admin"] }));
    const session = await store.getSession(browser.id);
    assert.deepEqual([session?.cart_items, session?.admin], [0, undefined]);
  });

  test("has its own timeouts, not those of the visitor's session", async () => {
    const browser = new TestBrowser();
    browser.cookies.set("sid", await store.createSession({ cart_items: 1 }, { ttl: 10, absoluteTtl: 20 }));
    const options = { ttl: 100, absoluteTtl: 1000, keep: ["cart_items"] } as const;
    await exchange(browser, (session) => session.logIn({ username: "andrew" }, options));
    const session = await store.getSession(browser.id);
    assert.equal(session?.session_ttl, 100);
    assert.ok(session.session_deadline > Date.now() / 1000 + 500);
  });

  test("creates a session if that of the cookie is gone, or the cookie holds no ID", async () => {
    for (const id of [DEAD_ID, "not an ID", "", '"; Path=/x']) {
      const browser = new TestBrowser();
      browser.cookies.set("sid", id);
      await exchange(browser, (session) => session.logIn({ username: "andrew" }, { keep: ["cart_items"] }));
      assert.notEqual(browser.id, id);
      assert.equal((await store.getSession(browser.id))?.username, "andrew");
    }
  });
});

describe("a rotation", () => {
  test("gives the session a new ID and the cookie with it, and keeps the data", async () => {
    const browser = new TestBrowser();
    await exchange(browser, (session) => session.logIn({ username: "andrew" }));
    const oldId = browser.id;
    const { result, setCookies } = await exchange(browser, (session) => session.rotate({ admin: true }));
    assert.equal(result, true);
    assert.deepEqual(setCookies, [`sid=${browser.id}; Path=/; HttpOnly; SameSite=Lax`]);
    const session = await store.getSession(browser.id);
    assert.deepEqual([session?.username, session?.admin], ["andrew", true]);
    assert.equal(await store.getSession(oldId), null);
  });

  test("without a session leaves the cookie alone", async () => {
    for (const id of [undefined, DEAD_ID]) {
      const browser = new TestBrowser();
      if (id !== undefined) browser.cookies.set("sid", id);
      const rotation = await exchange(browser, (session) => session.rotate());
      assert.deepEqual(rotation, { result: false, setCookies: [] });
    }
  });
});

describe("a slow request that was sent with the old ID", () => {
  const slow = {
    "a read": (session) => session.read(),
    "a write": (session) => session.write({ cart_items: 1 }),
  } satisfies Record<string, (session: ReturnType<TestBrowser["send"]>["session"]) => Promise<unknown>>;

  for (const [title, handle] of Object.entries(slow)) {
    for (const isHandledFirst of [true, false]) {
      test(`leaves the user logged in: ${title}, handled ${isHandledFirst ? "before" : "after"} the log-in`, async () => {
        const browser = new TestBrowser();
        await exchange(browser, (session) => session.write({ cart_items: 1 }));
        const request = browser.send();
        if (isHandledFirst) await handle(request.session);
        await exchange(browser, (session) => session.logIn({ username: "andrew" }));
        if (!isHandledFirst) await handle(request.session);
        request.receive();
        assert.equal((await store.getSession(browser.id))?.username, "andrew");
      });
    }

    test(`does not undo a log-out: ${title}`, async () => {
      const browser = new TestBrowser();
      await exchange(browser, (session) => session.logIn({ username: "andrew" }));
      const id = browser.id;
      const request = browser.send();
      await exchange(browser, (session) => session.logOut());
      await handle(request.session);
      request.receive();
      assert.equal(browser.id, undefined);
      assert.equal(await redis.exists(store.keyOf(id!)), 0);
    });
  }
});

describe("log-out", () => {
  test("deletes the session and clears the cookie", async () => {
    const browser = new TestBrowser();
    await exchange(browser, (session) => session.logIn({ username: "andrew" }));
    const id = browser.id;
    const { setCookies } = await exchange(browser, (session) => session.logOut());
    assert.deepEqual(setCookies, ["sid=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"]);
    assert.equal(await store.getSession(id), null);
  });

  test("is not an error without a session", async () => {
    for (const id of [undefined, DEAD_ID]) {
      const browser = new TestBrowser();
      if (id !== undefined) browser.cookies.set("sid", id);
      await exchange(browser, (session) => session.logOut());
      assert.equal(browser.id, undefined);
    }
  });
});

describe("a jar", () => {
  test("is given the name and the attributes, for frameworks that write cookies themselves", async () => {
    const set: unknown[][] = [];
    const jar: CookieJar = { get: () => undefined, set: (...args) => set.push(args) };
    const options = { secure: true, maxAge: 60, sameSite: "none", domain: "example.com", partitioned: true } as const;
    const session = new RequestSession(store, new SessionCookie(options), jar);
    await session.write({ cart_items: 1 });
    const attributes = { path: "/", httpOnly: true, ...options };
    assert.deepEqual(set, [["__Secure-sid", session.id, attributes]]);
  });

  for (const [what, set] of [
    ["throws", throwSent],
    ["rejects", async () => throwSent()],
  ] as const) {
    test(`that ${what} leaves no new session, and the error reaches the caller`, async () => {
      const own = new RedisSessionStore({ redis, prefix: newPrefix(), fields, ...NO_HURRY });
      const id = await own.createSession({ username: "andrew" });
      const open = (value?: string) => new RequestSession(own, cookie, { get: () => value, set });
      const visitor = open();
      await assert.rejects(visitor.write({ cart_items: 1 }), { message: "The response has been sent" });
      await assert.rejects(visitor.logIn({ username: "andrew" }), { message: "The response has been sent" });
      await assert.rejects(visitor.logOut(), { message: "The response has been sent" });
      await assert.rejects(open(DEAD_ID).read({ clearIfGone: true }), { message: "The response has been sent" });
      assert.equal(visitor.id, undefined);
      assert.deepEqual(await keysLike(redis, own.keyOf("*")), [own.keyOf(id)]);
      await assert.rejects(open(id).rotate(), { message: "The response has been sent" });
      assert.deepEqual(await keysLike(redis, own.keyOf("*")), []);
    });
  }
});

describe("a log-in that fails", () => {
  test("because the old session cannot be deleted leaves the cookie and the old session as they were", async () => {
    const browser = new TestBrowser();
    await exchange(browser, (session) => session.write({ cart_items: 3 }));
    const old = browser.id!;
    const deleted: unknown[] = [];
    const own = new Proxy(store, {
      get: (target, name: keyof typeof store) =>
        name === "deleteSession"
          ? async (id: string) => {
              if (id === old) throw new RedisUnavailableError("READONLY");
              deleted.push(id);
              return target.deleteSession(id);
            }
          : (target[name] as () => unknown).bind(target),
    });
    const setCookies: string[] = [];
    const jar = headerJar(`sid=${old}`, (value) => setCookies.push(value));
    const session = new RequestSession(own, cookie, jar);
    await assert.rejects(session.logIn({ username: "andrew" }), RedisUnavailableError);
    assert.deepEqual(setCookies, []);
    assert.equal(session.id, old);
    assert.equal((await session.read())?.cart_items, 3);
    assert.equal(deleted.length, 1);
    assert.equal(await store.getSession(String(deleted[0])), null);
  });
});

describe("without Redis", () => {
  test("every operation rejects and does not change the cookie", async () => {
    const client = await connect();
    const lost = new RedisSessionStore({ redis: client, fields });
    client.destroy();
    const setCookies: string[] = [];
    const jar = headerJar(`sid=${DEAD_ID}`, (value) => setCookies.push(value));
    const session = new RequestSession(lost, cookie, jar);
    const operations = [
      () => session.read({ clearIfGone: true }),
      () => session.write({ cart_items: 1 }),
      () => session.logIn({ username: "andrew" }),
      () => session.logIn({ username: "andrew" }, { keep: ["cart_items"] }),
      () => session.rotate(),
      () => session.logOut(),
    ];
    for (const operation of operations) await assert.rejects(operation, RedisUnavailableError);
    assert.deepEqual(setCookies, []);
    assert.equal(session.id, DEAD_ID);
  });
});
