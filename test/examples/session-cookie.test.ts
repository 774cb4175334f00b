import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseCookie, parseSetCookie, stringifySetCookie } from "cookie";
import * as fc from "fast-check";
import { type CookieJar, headerJar, isCrossSite, RequestSession, SessionCookie } from "../../session-cookie.ts";
import { RedisSessionStore, RedisUnavailableError } from "../../session-store.ts";
import { openRedis } from "../redis-connection.ts";
import { newPrefix, NO_HURRY } from "../store-under-test.ts";

const { redis, connect } = await openRedis();
const fields = { username: String, admin: Boolean, cart_items: Number };
const store = new RedisSessionStore({ redis, prefix: newPrefix(), fields, ...NO_HURRY });
const cookie = new SessionCookie();
const DEAD_ID = "x".repeat(43);

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
    await exchange(browser, (session) => session.read());
    assert.ok((await redis.ttl(store.keyOf(id))) > 90);
  });

  test("only a page load clears the cookie of a session that is gone", async () => {
    for (const id of [DEAD_ID, "not an ID"]) {
      const browser = new TestBrowser();
      browser.cookies.set("sid", id);
      const quiet = await exchange(browser, (session) => session.read());
      assert.deepEqual(quiet, { result: null, setCookies: [] });
      const write = await exchange(browser, (session) => session.write({ cart_items: 1 }));
      assert.deepEqual(write, { result: false, setCookies: [] });
      const load = await exchange(browser, (session) => session.read({ clearIfGone: true }));
      assert.deepEqual(load, { result: null, setCookies: ["sid=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"] });
      assert.equal(browser.id, undefined);
    }
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
      () => session.logOut(),
    ];
    for (const operation of operations) await assert.rejects(operation, RedisUnavailableError);
    assert.deepEqual(setCookies, []);
    assert.equal(session.id, DEAD_ID);
  });
});

describe("the cookie", () => {
  test("is sent over HTTPS only, and accepted from this host only, if it is secure", () => {
    const secure = new SessionCookie({ secure: true });
    assert.equal(secure.set("abc"), "__Host-sid=abc; Path=/; HttpOnly; Secure; SameSite=Lax");
    assert.equal(secure.clear(), "__Host-sid=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Lax");
    assert.equal(secure.read("sid=plain; __Host-sid=abc"), "abc");
    assert.equal(cookie.read("sid=plain; __Host-sid=abc"), "plain");
  });

  test("lasts until the browser is closed, or for as long as maxAge says", () => {
    assert.equal(cookie.set("abc"), "sid=abc; Path=/; HttpOnly; SameSite=Lax");
    assert.equal(new SessionCookie({ maxAge: 60 }).set("abc"), "sid=abc; Max-Age=60; Path=/; HttpOnly; SameSite=Lax");
    for (const maxAge of [0, -1, 1.5, Number.NaN, Infinity]) {
      assert.throws(() => new SessionCookie({ maxAge }), {
        name: "RangeError",
        message: `maxAge must be a whole number of seconds greater than 0; got ${maxAge}`,
      });
    }
  });

  test("is written as the package cookie writes it", () => {
    for (const secure of [true, false]) {
      for (const maxAge of [undefined, 60]) {
        const tested = new SessionCookie({ secure, maxAge });
        const attributes = { ...tested.attributes };
        assert.equal(tested.set("a-_9"), stringifySetCookie(tested.name, "a-_9", attributes));
        assert.equal(tested.clear(), stringifySetCookie(tested.name, "", { ...attributes, maxAge: 0 }));
      }
    }
  });

  test("is read as the package cookie reads it, whatever else the header contains", () => {
    const names = fc.constantFrom("sid", "SID", "xsid", "__Host-sid", "", "sid.", "a b");
    const values = fc.oneof(fc.stringMatching(/^[A-Za-z0-9_-]{0,43}$/), fc.constantFrom("", "=", "a=b", " x", "x "));
    const pair = fc.oneof(
      fc.tuple(names, values).map(([name, value]) => `${name}=${value}`),
      fc.string().map((text) => text.replaceAll("%", "")),
    );
    const header = fc
      .array(pair)
      .chain((pairs) => fc.constantFrom(pairs.join("; "), pairs.join(";"), pairs.join(" ;\t")));
    const isAlike = (text: string) => assert.equal(cookie.read(text), parseCookie(text)["sid"]);
    fc.assert(fc.property(header, isAlike), { numRuns: 2000 });
    assert.equal(cookie.read(undefined), undefined);
  });

  test("goes into a jar with its attributes, for frameworks that write cookies themselves", async () => {
    const set: unknown[][] = [];
    const jar: CookieJar = { get: () => undefined, set: (...args) => set.push(args) };
    const session = new RequestSession(store, new SessionCookie({ secure: true, maxAge: 60 }), jar);
    await session.write({ cart_items: 1 });
    const attributes = { path: "/", httpOnly: true, sameSite: "lax", secure: true, maxAge: 60 };
    assert.deepEqual(set, [["__Host-sid", session.id, attributes]]);
  });
});

describe("a cross-site request", () => {
  const cases: [boolean, Record<string, string>][] = [
    [false, {}],
    [false, { host: "example.com" }],
    [false, { "sec-fetch-site": "same-origin" }],
    [false, { "sec-fetch-site": "none" }],
    [true, { "sec-fetch-site": "cross-site" }],
    [true, { "sec-fetch-site": "same-site" }],
    [true, { "sec-fetch-site": "" }],
    [true, { "sec-fetch-site": "same-origin, none" }],
    [true, { "sec-fetch-site": "cross-site", origin: "https://example.com", host: "example.com" }],
    [false, { "sec-fetch-site": "same-origin", origin: "https://other.com", host: "example.com" }],
    [false, { origin: "https://example.com", host: "example.com" }],
    [false, { origin: "https://example.com", host: "example.com:443" }],
    [false, { origin: "https://EXAMPLE.com:443", host: "example.COM" }],
    [false, { origin: "http://example.com", host: "example.com:80" }],
    [false, { origin: "http://[::1]:8080", host: "[::1]:8080" }],
    [true, { origin: "http://example.com", host: "example.com:443" }],
    [true, { origin: "http://example.com:8080", host: "example.com" }],
    [true, { origin: "https://other.com", host: "example.com" }],
    [true, { origin: "https://example.com.other.com", host: "example.com" }],
    [true, { origin: "https://sub.example.com", host: "example.com" }],
    [true, { origin: "https://example.com" }],
    [true, { origin: "null", host: "example.com" }],
    [true, { origin: "null", host: "null" }],
    [true, { origin: "", host: "" }],
    [true, { origin: "file://", host: "" }],
    [true, { origin: "https://example.com", host: "[" }],
  ];
  for (const [expected, headers] of cases) {
    test(`is ${expected ? "recognized" : "not reported"} in ${JSON.stringify(headers)}`, () => {
      assert.equal(isCrossSite(headers), expected);
    });
  }

  test("is recognized whatever the headers contain, without an exception", () => {
    const text = fc.option(fc.oneof(fc.string(), fc.webUrl(), fc.domain()), { nil: undefined });
    const headers = fc.record({ host: text, origin: text, "sec-fetch-site": text });
    fc.assert(
      fc.property(headers, (value) => typeof isCrossSite(value) === "boolean"),
      { numRuns: 2000 },
    );
  });
});
