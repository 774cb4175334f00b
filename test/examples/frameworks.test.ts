import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import { connect } from "node:net";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Browser, type Reply } from "../browser.ts";
import { spawnExample } from "../demo-process.ts";
import type { Lifetime } from "../child-process.ts";
import { DURABLE, spawnRedis } from "../redis-process.ts";
import { until } from "../wait.ts";

const ANDREW = { username: "andrew", password: "secret" };
const EXPIRED = "Session expired. Load the page again, or leave the cookie out.";
const PAGE = "https://app.example.com"; // of another host
const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const REQUEST_EVERY_MS = 50; // 20 requests a second

const redis = await spawnRedis({ after }, DURABLE);
const REDIS_URL = `redis://127.0.0.1:${redis.port}`;

for (const framework of ["express", "fastify", "hono"]) {
  const spawn = async (t: Lifetime, environment = {}) =>
    spawnExample(t, `examples/${framework}.ts`, { REDIS_URL, ALLOWED_ORIGINS: PAGE, ...environment });

  describe(`the example for ${framework}`, async () => {
    const url = await (await spawn({ after })).listening();
    const newBrowser = () => new Browser(url);
    const logIn = async () => {
      const browser = newBrowser();
      await expectJson(browser.post("/login", ANDREW), 200, { username: "andrew" });
      return browser;
    };

    test("a visitor who does nothing gets no cookie", async () => {
      const browser = newBrowser();
      await expectJson(browser.get("/"), 200, { username: null, cart_items: 0 });
      assert.equal(browser.cookies.size, 0);
    });

    test("an anonymous visitor has a cart, and a log-in keeps it under a new session ID", async () => {
      const browser = newBrowser();
      await expectJson(browser.post("/cart"), 200, { cart_items: 1 });
      await expectJson(browser.post("/cart"), 200, { cart_items: 2 });
      const visitorId = browser.sessionId;
      await expectJson(browser.post("/login", ANDREW), 200, { username: "andrew" });
      assert.notEqual(browser.sessionId, visitorId);
      await expectJson(browser.get("/"), 200, { username: "andrew", cart_items: 2 });
      await expectJson(withSession(visitorId).get("/"), 200, { username: null, cart_items: 0 });
    });

    test("parallel additions to the cart all count", async () => {
      const browser = newBrowser();
      await browser.post("/cart");
      await Promise.all(Array.from({ length: 20 }, () => browser.post("/cart")));
      await expectJson(browser.get("/"), 200, { username: null, cart_items: 21 });
    });

    test("a page for users is refused without a log-in, and counts its views with one", async () => {
      const visitor = newBrowser();
      await visitor.post("/cart");
      await expectJson(visitor.get("/account"), 401, { error: "Log in first." });
      const browser = await logIn();
      await expectJson(browser.get("/account"), 200, { username: "andrew", page_views: 1 });
      await expectJson(browser.get("/account"), 200, { username: "andrew", page_views: 2 });
    });

    test("a wrong password and a malformed form are refused, and set no cookie", async () => {
      const incomplete = ["", "username=andrew", "password=secret", "username=&password=secret"];
      const malformed = ["username[]=a&password=secret", "username=%00&password=secret", "%", "=", "a".repeat(999)];
      const forms = ["username=andrew&password=wrong", ...incomplete, ...malformed];
      for (const body of forms) {
        const browser = newBrowser();
        const headers = { "content-type": "application/x-www-form-urlencoded" };
        const reply = await browser.send("/login", { method: "POST", headers, body });
        await expectJson(reply, 401, { error: "Wrong username or password." });
        assert.equal(browser.cookies.size, 0);
      }
      const reply = await newBrowser().send("/login", { method: "POST" });
      await expectJson(reply, 401, { error: "Wrong username or password." });
    });

    test("a form of over 100 KB is refused, and one that cannot be read is no error of the server", async () => {
      const form = "username=andrew&password=secret&more=";
      const headers = { "content-type": "application/x-www-form-urlencoded" };
      for (const declared of [{}, { "transfer-encoding": "chunked" }]) {
        const send = async (length: number) => {
          const body = form.padEnd(length, "x");
          return newBrowser().send("/login", { method: "POST", headers: { ...headers, ...declared }, body });
        };
        assert.equal((await send(100 * 1024)).status, 200);
        const refused = await send(100 * 1024 + 1);
        assert.deepEqual([refused.status, Object.keys(refused.json), refused.setCookies], [413, ["error"], []]);
      }
      for (const type of ["multipart/form-data", "multipart/form-data; boundary=x", "text/plain", "x"]) {
        const body = '--x\r\nContent-Disposition: form-data; name="username"\r\n\r\nandrew';
        const { status, text } = await newBrowser().send("/login", {
          method: "POST",
          headers: { "content-type": type },
          body,
        });
        assert.ok([400, 401, 415].includes(status), `got ${status} ${text}`);
        assert.doesNotMatch(text, / at /);
      }
    });

    test("a second log-in ends the first session", async () => {
      const browser = await logIn();
      const firstId = browser.sessionId;
      await browser.post("/login", ANDREW);
      await expectJson(withSession(firstId).get("/account"), 401, { error: "Log in first." });
      await expectJson(browser.get("/account"), 200, { username: "andrew", page_views: 1 });
    });

    test("a log-out ends the session and clears the cookie", async () => {
      const browser = await logIn();
      const id = browser.sessionId;
      await expectJson(browser.post("/logout"), 200, { username: null });
      assert.equal(browser.cookies.size, 0);
      await expectJson(withSession(id).get("/account"), 401, { error: "Log in first." });
      await expectJson(browser.post("/logout"), 200, { username: null });
    });

    test("the cookie of a dead session is cleared by a page load, and by nothing else", async () => {
      const browser = withSession("x".repeat(43));
      await expectJson(browser.get("/account"), 401, { error: "Log in first." });
      await expectJson(browser.post("/cart"), 401, { error: EXPIRED });
      assert.notEqual(browser.sessionId, "");
      await expectJson(browser.get("/"), 200, { username: null, cart_items: 0 });
      assert.equal(browser.cookies.size, 0);
      await expectJson(browser.post("/cart"), 200, { cart_items: 1 });
    });

    test("the cookie is plain on localhost, and bound to this host and HTTPS in production", async (t) => {
      const plain = await newBrowser().post("/cart");
      assert.match(plain.setCookies.join("\n"), /^sid=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax$/);
      const example = await spawn(t, { NODE_ENV: "production" });
      const browser = new Browser(await example.listening());
      const secure = await browser.post("/login", ANDREW);
      const pattern = /^__Host-sid=[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Lax$/;
      assert.match(secure.setCookies.join("\n"), pattern);
      await expectJson(browser.get("/account"), 200, { username: "andrew", page_views: 1 });
      const cleared = await browser.post("/logout");
      assert.deepEqual(cleared.setCookies, ["__Host-sid=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Lax"]);
    });

    test("a request from another site is refused before it changes anything", async () => {
      const browser = await logIn();
      const { host } = new URL(url);
      const refused = (origin: string, site: string) => ({
        error: `Sent by another site: Origin ${origin}, Host ${host}, Sec-Fetch-Site ${site}.`,
      });
      for (const site of ["cross-site", "same-site"]) {
        const headers = { "sec-fetch-site": site };
        await expectJson(browser.post("/logout", {}, headers), 403, refused("-", site));
        const stranger = newBrowser();
        await expectJson(stranger.post("/login", ANDREW, headers), 403, refused("-", site));
        assert.equal(stranger.cookies.size, 0);
      }
      const origin = "https://example.com";
      await expectJson(browser.post("/logout", {}, { origin }), 403, refused(origin, "-"));
      await expectJson(browser.get("/account", { "sec-fetch-site": "cross-site" }), 200, {
        username: "andrew",
        page_views: 1,
      });
    });

    test("a page of an allowed origin may send requests and read the replies, other pages may not", async () => {
      const crossSite = { origin: PAGE, "sec-fetch-site": "same-site" };
      const browser = newBrowser();
      const replies = [
        await browser.post("/login", ANDREW, crossSite),
        await browser.get("/account", crossSite),
        await browser.post("/nowhere", {}, crossSite),
        await newBrowser().get("/account", crossSite),
      ];
      assert.deepEqual(
        replies.map(({ status }) => status),
        [200, 200, 404, 401],
      );
      const ask = { "access-control-request-method": "POST", "access-control-request-headers": "content-type" };
      const preflight = await browser.send("/login", { method: "OPTIONS", headers: { ...crossSite, ...ask } });
      assert.equal(preflight.status, 204);
      assert.match(preflight.headers.get("access-control-allow-methods") ?? "", /\bPOST\b/);
      assert.match(preflight.headers.get("access-control-allow-headers") ?? "", /^content-type$/i);
      for (const { headers } of [...replies, preflight]) {
        assert.equal(headers.get("access-control-allow-origin"), PAGE);
        assert.equal(headers.get("access-control-allow-credentials"), "true");
        assert.match(headers.get("vary") ?? "", /\bOrigin\b/);
      }
      const other = { ...crossSite, origin: "https://example.com" };
      for (const reply of [
        await browser.send("/login", { method: "OPTIONS", headers: { ...other, ...ask } }),
        await browser.get("/account", other),
        await browser.post("/logout", {}, other),
      ]) {
        assert.equal(reply.headers.get("access-control-allow-origin"), null);
        assert.match(reply.headers.get("vary") ?? "", /\bOrigin\b/);
      }
    });

    test("it does not start with an allowed origin that is none", async (t) => {
      const example = await spawn(t, { ALLOWED_ORIGINS: `${PAGE},https://example.com/` });
      const { code, stderr } = await example.end();
      assert.equal(code, 1);
      assert.match(stderr, /TypeError: allowedOrigins must be origins .+; got "https:\/\/example\.com\/"/);
    });

    test("a user lists the sessions on all devices, ends one, and ends all others", async () => {
      const [browser, second, third, fourth] = await Promise.all([logIn(), logIn(), logIn(), logIn()]);
      await browser.post("/sessions/end-others"); // those of the tests above
      await Promise.all([second, third, fourth].map(async (each) => each.post("/login", ANDREW)));
      const sessions = await sessionsOf(browser);
      assert.equal(sessions.length, 4);
      assert.deepEqual(
        sessions.filter(({ current }) => current).map(({ handle }) => handle),
        [digest(browser.sessionId)],
      );
      assert.doesNotMatch(JSON.stringify(sessions), new RegExp(browser.sessionId));
      await browser.post("/login", ANDREW, { "user-agent": FIREFOX });
      for (const { current, device } of await sessionsOf(browser)) {
        assert.equal(device, current ? "Firefox on Linux" : "Unknown device");
      }

      const handle = digest(second.sessionId);
      await expectJson(browser.post("/sessions/end", { handle }), 200, { ended: 1 });
      await expectJson(browser.post("/sessions/end", { handle }), 404, { error: "No such session." });
      await expectJson(browser.post("/sessions/end"), 404, { error: "No such session." });
      await expectJson(second.get("/account"), 401, { error: "Log in first." });
      assert.equal((await third.get("/account")).status, 200);

      await expectJson(browser.post("/sessions/end-others"), 200, { ended: 2 });
      await expectJson(third.get("/account"), 401, { error: "Log in first." });
      assert.equal((await browser.get("/account")).status, 200);
      assert.equal((await sessionsOf(browser)).length, 1);
    });

    test("a log-in while all other sessions of the user are ended succeeds or is refused", async () => {
      const browser = await logIn();
      const others = Array.from({ length: 20 }, () => newBrowser());
      const replies: Promise<Reply>[] = [];
      for (const other of others) {
        replies.push(other.post("/login", ANDREW), browser.post("/sessions/end-others"));
      }
      const refused = JSON.stringify({ error: "Log in again." });
      for (const { status, text } of await Promise.all(replies)) {
        assert.ok(status === 200 || (status === 409 && text === refused), `got ${status} ${text}`);
      }
      const live = await Promise.all(others.map(async (other) => (await other.get("/account")).status === 200));
      assert.equal((await sessionsOf(browser)).length, 1 + live.filter(Boolean).length);
    });

    test("nobody lists or ends another user's sessions", async () => {
      const browser = await logIn();
      const stranger = newBrowser();
      for (const path of ["/sessions/end", "/sessions/end-others"]) {
        await expectJson(stranger.post(path, { handle: digest(browser.sessionId) }), 401, { error: "Log in first." });
      }
      await expectJson(stranger.get("/sessions"), 401, { error: "Log in first." });
      await stranger.post("/login", { username: "guest", password: "secret" });
      await expectJson(stranger.post("/sessions/end", { handle: digest(browser.sessionId) }), 404, {
        error: "No such session.",
      });
      await expectJson(stranger.post("/sessions/end-others"), 200, { ended: 0 });
      assert.equal((await sessionsOf(stranger)).length, 1);
      assert.equal((await browser.get("/account")).status, 200);
      await stranger.post("/logout");
    });

    test("no response is cached", async () => {
      const browser = await logIn();
      for (const reply of [await browser.get("/account"), await browser.post("/logout"), await browser.get("/account")])
        assert.equal(reply.headers.get("cache-control"), "no-store");
    });

    const outages: Record<string, { begin: () => unknown; end: () => unknown }> = {
      killed: { begin: redis.kill, end: redis.start },
      hung: { begin: redis.hang, end: redis.resume },
    };
    for (const [state, { begin, end }] of Object.entries(outages)) {
      test(`while Redis is ${state}, every request gets 503, and afterwards everybody is still logged in`, async () => {
        const user = await logIn();
        const visitor = newBrowser();
        await visitor.post("/cart");
        const ids = [user.sessionId, visitor.sessionId];
        const leaving = await logIn();
        const requests = [
          () => user.get("/account"),
          () => user.get("/"),
          () => visitor.post("/cart"),
          () => leaving.post("/logout"),
          () => newBrowser().post("/login", ANDREW),
          () => newBrowser().post("/cart"),
        ];
        const before = sendAtRate(requests.filter((request) => request !== requests[3]));
        await begin();
        const during = await Promise.all(await sendAtRate(requests, 5));
        const underWay = sendAtRate(requests.filter((request) => request !== requests[3]));
        await end();

        for (const reply of during) {
          await expectJson(reply, 503, { error: "Try again shortly." });
          assert.equal(reply.headers.get("retry-after"), "1");
          assert.deepEqual(reply.setCookies, []);
        }
        for (const reply of [...(await Promise.all(await before)), ...(await Promise.all(await underWay))]) {
          assert.ok(reply.status === 200 || reply.status === 503, `got ${reply.status} ${reply.text}`);
        }
        const isBack = async () => (await newBrowser().post("/cart")).status === 200;
        assert.ok(await until(isBack), "The example does not recover");
        assert.deepEqual([user.sessionId, visitor.sessionId], ids);
        assert.equal((await user.get("/account")).status, 200);
        assert.match((await visitor.get("/")).text, /"cart_items":[1-9]/);
      });
    }

    test("if Redis is down at the start, it says why, and listens when Redis is back", async (t) => {
      await redis.kill();
      const example = await spawn(t);
      assert.ok(await until(() => example.stderr().includes("ECONNREFUSED")), example.stderr());
      await redis.start();
      const browser = new Browser(await example.listening());
      await expectJson(browser.post("/cart"), 200, { cart_items: 1 });
    });

    test("if its port is taken, it says so and ends", async (t) => {
      const { code, stdout, stderr } = await (await spawn(t, { PORT: new URL(url).port })).end();
      assert.deepEqual([code, stdout], [1, ""]);
      assert.match(stderr, /EADDRINUSE/);
    });

    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      test(`${signal} ends it after the reply to the request under way`, async (t) => {
        const example = await spawn(t);
        const ownUrl = await example.listening();
        const silent = connect(Number(new URL(ownUrl).port), "127.0.0.1"); // as a browser opens some in advance
        t.after(() => silent.destroy());
        await once(silent, "connect");
        const headers = { expect: "100-continue", "content-type": "application/x-www-form-urlencoded" };
        const login = http.request(`${ownUrl}/login`, { method: "POST", headers });
        login.flushHeaders();
        await once(login, "continue"); // the example has begun with the request
        example.kill(signal);
        const isClosed = () =>
          fetch(ownUrl).then(
            () => false,
            () => true,
          );
        assert.ok(await until(isClosed), "It still accepts connections");
        login.end(new URLSearchParams(ANDREW).toString());
        const [reply] = (await once(login, "response")) as [http.IncomingMessage];
        assert.equal(reply.statusCode, 200);
        reply.resume();
        const { code, stderr } = await example.end();
        assert.equal(code, 0, stderr);
      });
    }

    function withSession(id: string) {
      return new Browser(url, id);
    }
  });
}

interface ListedSession {
  handle: string;
  device: string;
  started: string;
  current: boolean;
}

async function sessionsOf(browser: Browser): Promise<ListedSession[]> {
  const { text } = await browser.get("/sessions");
  return JSON.parse(text) as ListedSession[];
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}

/** Sends the requests in turn, each `rounds` times, without waiting for the replies. */
async function sendAtRate(requests: (() => Promise<Reply>)[], rounds = 2): Promise<Promise<Reply>[]> {
  const replies: Promise<Reply>[] = [];
  for (let i = 0; i < rounds * requests.length; i++) {
    replies.push(requests[i % requests.length]!());
    await sleep(REQUEST_EVERY_MS);
  }
  return replies;
}

async function expectJson(pending: Reply | Promise<Reply>, status: number, json: object): Promise<void> {
  const reply = await pending;
  assert.deepEqual({ status: reply.status, json: JSON.parse(reply.text) as unknown }, { status, json });
}
