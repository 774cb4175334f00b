import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import type { RequestOptions } from "../browser.ts";
import { type App, openDemo } from "../demo-in-process.ts";
import { sendRaw } from "../raw-http.ts";

const { redis, openApp } = await openDemo();

const FORM = "application/x-www-form-urlencoded";
const ABSENT = "A".repeat(43);
const NO_SESSION = { authenticated: false, session: null };

async function assertAlive({ newBrowser }: App) {
  assert.equal((await newBrowser().get("/healthz")).status, 200);
}

const snapshot = (key: string) => Promise.all([redis.dump(key), redis.pExpireTime(key)]);

const withCookie = (app: App, path: string, cookie: string, init: RequestOptions = {}) =>
  app.newBrowser().send(path, { ...init, headers: { ...init.headers, cookie } });

/** The parts of the cookie that takes what a form did to the page. */
async function realFlash(app: App): Promise<{ commands: Record<string, unknown>[] }> {
  const { browser } = await app.logIn();
  await browser.post("/increment", {}, { accept: "text/html" });
  return JSON.parse(Buffer.from(browser.cookies.get("flash")!, "base64url").toString());
}

function raceWithCalls(calls: unknown) {
  const history = { steps: [{ step: "read", calls }], fields: {} };
  const revived = { revived: 1 };
  return { rounds: 1, work_ms: 20, plain: revived, store: revived, history: { plain: history, store: history } };
}

describe("a cookie that is none of ours", () => {
  const cookies: [what: string, value: string][] = [
    ["that does not decode", "%"],
    ["that decodes to half a character", "%E0%A4%A"],
    ["too short", "abc"],
    ["one character too long", `${ABSENT}A`],
    ["with a path in it", "../../etc/passwd".padEnd(43, "/")],
    ["with a glob in it", "*".repeat(43)],
    ["with a key's prefix in it", `session:${ABSENT}`],
    ["with a line break in it", `${"A".repeat(40)}%0D%0A`],
    ["with a NUL in it", `${"A".repeat(42)}%00`],
    ["with markup in it", "<script>alert(1)</script>"],
    ["in quotes", `"${ABSENT}"`],
    ["of 10 KB", "A".repeat(10_000)],
    ["that is empty", ""],
  ];
  for (const [what, value] of cookies) {
    test(`opens nothing and breaks nothing: one ${what}`, async () => {
      const app = await openApp();
      const session = await withCookie(app, "/session", `sid=${value}`);
      assert.deepEqual([session.status, session.json], [200, NO_SESSION]);
      for (const accept of ["*/*", "text/html"]) {
        const page = await withCookie(app, "/", `sid=${value}`, { headers: { accept } });
        assert.equal(page.status, 200);
        assert.ok(!page.text.includes("<script>alert"));
        for (const path of ["/increment", "/rotate"]) {
          const init = { method: "POST", headers: { accept } };
          assert.equal((await withCookie(app, path, `sid=${value}`, init)).status, 401);
        }
      }
      assert.deepEqual(await app.keys(), []);
      await assertAlive(app);
    });
  }

  for (const other of [
    "other=%",
    "other=%E0%A4%A",
    "%=%",
    "=",
    ";;;",
    "__proto__=x",
    "constructor=x",
    'other="',
    "flash=x",
  ]) {
    test(`is no hindrance beside ours: ${other}`, async () => {
      const app = await openApp();
      const { id } = await app.logIn();
      for (const cookie of [`${other}; sid=${id}`, `sid=${id}; ${other}`]) {
        assert.equal((await withCookie(app, "/session", cookie)).json.session_id, id);
        assert.equal((await withCookie(app, "/", cookie, { headers: { accept: "text/html" } })).status, 200);
      }
    });
  }

  const flashes: [what: string, forge: (flash: { commands: Record<string, unknown>[] }) => unknown][] = [
    ["null", () => null],
    ["a number", () => 1],
    ["an empty object", () => ({})],
    ["an array", () => []],
    ["a notice that every object has", (flash) => ({ ...flash, notice: "__proto__" })],
    ["a request that is no text", (flash) => ({ ...flash, request: { toString: "x" } })],
    ["commands that are no list", (flash) => ({ ...flash, commands: { length: 1 } })],
    ["a command that is null", (flash) => ({ ...flash, commands: [null] })],
    ["a command with a time that is text", (flash) => ({ ...flash, commands: [{ ...flash.commands[0], ms: "1" }] })],
    ["a command without arguments", (flash) => ({ ...flash, commands: [{ ...flash.commands[0], args: undefined }] })],
    [
      "a race with calls that are no list",
      (flash) => ({ ...flash, race: raceWithCalls({ call: "x", reply: "x", held: "x" }) }),
    ],
    ["too much", (flash) => ({ ...flash, request: "x".repeat(4000) })],
  ];
  for (const [what, forge] of flashes) {
    test(`is not taken for what a form did: ${what}`, async () => {
      const app = await openApp();
      const forged = forge(await realFlash(app));
      const cookie = `flash=${Buffer.from(JSON.stringify(forged)).toString("base64url")}`;
      const { status, text } = await withCookie(app, "/", cookie, { headers: { accept: "text/html" } });
      assert.equal(status, 200);
      assert.doesNotMatch(text, /Page view counted|POST \/increment/);
    });
  }

  test("is shown as text, where it has the shape of what a form did", async () => {
    const app = await openApp();
    const flash = await realFlash(app);
    const markup = "<script>alert(1)</script>";
    const forged = { ...flash, request: markup, commands: [{ ...flash.commands[0], text: markup }] };
    const cookie = `flash=${Buffer.from(JSON.stringify(forged)).toString("base64url")}`;
    const { status, text } = await withCookie(app, "/", cookie, { headers: { accept: "text/html" } });
    assert.equal(status, 200);
    assert.doesNotMatch(text, /<script>alert/);
    assert.ok(text.split("&lt;script&gt;alert(1)").length > 2, text);
  });

  test("is one of two: the first sid counts", async () => {
    const app = await openApp();
    const { id } = await app.logIn();
    assert.equal((await withCookie(app, "/session", `sid=${id}; sid=${ABSENT}`)).json.session_id, id);
    assert.deepEqual((await withCookie(app, "/session", `sid=${ABSENT}; sid=${id}`)).json, NO_SESSION);
  });
});

describe("a request that no browser sends", () => {
  const requests: [what: string, request: string, status: RegExp][] = [
    ["GET //", "GET // HTTP/1.1\nHost: x", /404/],
    ["GET //evil.com/", "GET //evil.com/ HTTP/1.1\nHost: x", /404/],
    ["GET ///session", "GET ///session HTTP/1.1\nHost: x", /404/],
    ["GET /%", "GET /% HTTP/1.1\nHost: x", /404/],
    ["GET /session?%", "GET /session?% HTTP/1.1\nHost: x", /200/],
    ["GET /session?refresh=%E0%A4%A", "GET /session?refresh=%E0%A4%A HTTP/1.1\nHost: x", /200/],
    ["GET /../server.ts", "GET /../server.ts HTTP/1.1\nHost: x", /404/],
    ["GET /views/../server.ts", "GET /views/../server.ts HTTP/1.1\nHost: x", /404/],
    ["GET /%2e%2e/server.ts", "GET /%2e%2e/server.ts HTTP/1.1\nHost: x", /404/],
    ["GET /__proto__", "GET /__proto__ HTTP/1.1\nHost: x", /404/],
    ["GET /constructor", "GET /constructor HTTP/1.1\nHost: x", /404/],
    ["GET /toString", "GET /toString HTTP/1.1\nHost: x", /404/],
    ["POST /__proto__", "POST /__proto__ HTTP/1.1\nHost: x\nContent-Length: 0", /404/],
    ["Host: [", "GET /session HTTP/1.1\nHost: [", /200/],
    ["Host: [ on a form", "POST /login HTTP/1.1\nHost: [\nContent-Length: 0", /200/],
    ["Host: [ and an Origin", "POST /login HTTP/1.1\nHost: [\nOrigin: http://x\nContent-Length: 0", /403/],
    ["an empty Host", "GET /session HTTP/1.1\nHost:", /200/],
    ["an empty Host and an Origin", "POST /login HTTP/1.1\nHost:\nOrigin: http://x\nContent-Length: 0", /403/],
    ["no Host", "GET /session HTTP/1.1", /400/],
    ["no Host in HTTP/1.0", "GET /session HTTP/1.0", /200/],
    ["no Host in HTTP/1.0, with an Origin", "POST /login HTTP/1.0\nOrigin: http://x\nContent-Length: 0", /403/],
    ["two Origins", "POST /login HTTP/1.1\nHost: x\nOrigin: http://x\nOrigin: http://evil\nContent-Length: 0", /403/],
    ["an absolute URL", "GET http://x/session HTTP/1.1\nHost: x", /404/],
    ["an absolute URL that is none", "GET http://[ HTTP/1.1\nHost: x", /404/],
    ["a path without a slash", "GET session HTTP/1.1\nHost: x", /400/],
    ["OPTIONS *", "OPTIONS * HTTP/1.1\nHost: x", /404/],
    ["CONNECT", "CONNECT evil.com:443 HTTP/1.1\nHost: x", /^$/],
    ["a method of the future", "QUERYX /session HTTP/1.1\nHost: x", /400/],
    ["a known method that no route has", "PROPFIND /session HTTP/1.1\nHost: x", /405/],
    ["no HTTP at all", "hello", /400/],
    [
      "an upgrade to a WebSocket",
      "GET /session HTTP/1.1\nHost: x\nUpgrade: websocket\nConnection: Upgrade, close",
      /200/,
    ],
    ["both lengths", "POST /login HTTP/1.1\nHost: x\nContent-Length: 1\nTransfer-Encoding: chunked", /400/],
    ["a length that is none", "POST /login HTTP/1.1\nHost: x\nContent-Length: -1", /400/],
  ];
  for (const [what, request, expected] of requests) {
    test(`gets a clear reply: ${what}`, async () => {
      const app = await openApp();
      const close = request.includes("Connection") ? "" : "\nConnection: close";
      const [head = ""] = (await sendRaw(app.port, `${request}${close}\n\n`)).split("\r\n");
      assert.match(head.slice("HTTP/1.1 ".length), expected);
      await assertAlive(app);
    });
  }

  test("may end in the middle of its body, and leaves nothing", async () => {
    const app = await openApp();
    const head = `POST /login HTTP/1.1\nHost: x\nContent-Type: ${FORM}\nContent-Length: 100\n\nusername=grace`;
    assert.doesNotMatch(await sendRaw(app.port, head, { end: true }), /^HTTP\/1\.1 2/);
    await assertAlive(app);
    assert.deepEqual(await app.keys(), []);
  });
});

describe("a body that is no form of ours", () => {
  const bodies: [what: string, init: RequestOptions, status: number][] = [
    ["JSON that calls itself a form", { headers: { "content-type": FORM }, body: '{"ttl":1}' }, 200],
    ["gzip", { headers: { "content-type": FORM, "content-encoding": "gzip" }, body: gzipSync("ttl=5") }, 415],
    ["without a content type", { body: Buffer.from("ttl=5") }, 415],
    ["of 1 MB", { headers: { "content-type": FORM }, body: "x".repeat(1_000_000) }, 413],
    ["with half an escape", { headers: { "content-type": FORM }, body: "username=%&ttl=%3" }, 400],
    ["with broken UTF-8", { headers: { "content-type": FORM }, body: "username=%E0%A4&ttl=5" }, 200],
    [
      "with bytes that are no UTF-8",
      { headers: { "content-type": FORM }, body: Buffer.from("username=\xff", "latin1") },
      200,
    ],
    ["of 8,000 fields", { headers: { "content-type": FORM }, body: "&a".repeat(8000) }, 200],
    [
      "with fields of every object",
      { headers: { "content-type": FORM }, body: "__proto__=1&constructor=1&ttl=5" },
      200,
    ],
  ];
  for (const [what, init, expected] of bodies) {
    test(`gets ${expected}: ${what}`, async () => {
      const app = await openApp();
      const { status, json } = await app.newBrowser().send("/login", { method: "POST", ...init });
      assert.equal(status, expected);
      assert.equal((await app.keys()).length, expected === 200 ? 1 : 0);
      if (expected !== 200) assert.match(json.error ?? "", /^[A-Z].*\.$/);
      await assertAlive(app);
    });
  }

  for (const [body, ttl] of [
    ["ttl=1&ttl=2", 2],
    ["ttl=abc&ttl=2", 2],
  ] as const) {
    test(`has one TTL, the last: ${body}`, async () => {
      const app = await openApp();
      const init = { method: "POST", headers: { "content-type": FORM }, body };
      assert.equal((await app.newBrowser().send("/login", init)).json.configured_ttl, ttl);
    });
  }
});

describe("a TTL that is none", () => {
  const ttls = [
    "",
    " ",
    "0",
    "00",
    "-1",
    "+1",
    "1.5",
    "1.0",
    "15abc",
    "1e3",
    "0x10",
    "NaN",
    "Infinity",
    "1_000",
    "1,000",
    " 15",
    "15\n",
    "99999999999999999",
    "9".repeat(400),
    "２",
    "١٥",
    "²",
    "15\0",
  ];
  for (const ttl of ttls) {
    const shown = JSON.stringify(ttl.slice(0, 20));
    test(`is refused at log-in and leaves no key behind: ${shown}`, async () => {
      const app = await openApp();
      const { status, json, setCookies } = await app.newBrowser().post("/login", { ttl });
      assert.equal(status, 400);
      assert.match(json.error ?? "", /^TTL must be /);
      assert.deepEqual([setCookies, await app.keys()], [[], []]);
    });

    test(`is refused by /ttl and leaves the session as it was: ${shown}`, async () => {
      const app = await openApp();
      const { browser, key } = await app.logIn();
      const before = await snapshot(key);
      const { status, json } = await browser.post("/ttl", { ttl });
      assert.equal(status, 400);
      assert.match(json.error ?? "", /^TTL must be /);
      assert.deepEqual(await snapshot(key), before);
    });
  }
});

describe("a username", () => {
  const usernames: [what: string, username: string, status: number][] = [
    ["of 5,000 characters", "x".repeat(5000), 400],
    ["of 16,000 bytes of escapes", "\0".repeat(5000), 400],
    ["of control characters", "a\u0001\u001b[31m\u007fb", 200],
    ["with a NUL in it", "a\0b", 200],
    ["with a lone surrogate", "a\ud800b", 200],
    ["with line breaks in it", "a\r\nSet-Cookie: x=1\r\n\r\nb", 200],
    ["that Redis or Lua could read as something else", "KEYS[1] %s *3\r\n$3", 200],
    ["that is an object's", "__proto__", 200],
  ];
  for (const [what, username, expected] of usernames) {
    test(`gets ${expected} and is kept as it is: one ${what}`, async () => {
      const app = await openApp();
      const browser = app.newBrowser();
      const { status, headers } = await browser.post("/login", { username });
      assert.equal(status, expected);
      assert.equal(headers.get("set-cookie")?.includes("x=1"), expected === 200 ? false : undefined);
      const kept = await browser.get("/session");
      assert.equal(
        kept.json.session?.["username"],
        expected === 200 ? username.replace("\ud800", "\ufffd") : undefined,
      );
      assert.equal((await browser.get("/")).status, 200);
      assert.equal((await app.keys()).length, expected === 200 ? 1 : 0);
    });
  }

  test("of spaces is blank", async () => {
    const { newBrowser } = await openApp();
    const { json } = await newBrowser().post("/login", { username: " \u00a0\u3000 " });
    assert.equal(json.session?.["username"], "Guest");
  });

  for (const username of [
    "<img src=x onerror=alert(1)>",
    '"><script>alert(1)</script>',
    "'-alert(1)-'",
    "</template><b>&amp;",
  ]) {
    test(`is text on the page, never markup: ${username}`, async () => {
      const app = await openApp();
      const { browser } = await app.logIn({ username });
      const refused = await app.newBrowser().post("/login", { username, ttl: `0${username}` }, { accept: "text/html" });
      assert.deepEqual([(await browser.get("/session")).json.session?.["username"], refused.status], [username, 400]);
      for (const { text } of [await browser.get("/"), refused]) {
        assert.doesNotMatch(text, /<img|<script>|<b>|onerror=alert\(1\)>|"'-alert/);
        assert.ok(text.includes("alert(1)") || text.includes("&lt;b&gt;&amp;amp;"), text);
      }
    });
  }
});

describe("a cookie that points at something else in Redis", () => {
  const others: [what: string, write: (key: string) => Promise<unknown>][] = [
    ["a string", (key) => redis.set(key, "x")],
    ["a list", (key) => redis.rPush(key, "x")],
    ["a set", (key) => redis.sAdd(key, "x")],
    ["a hash without the reserved fields", (key) => redis.hSet(key, { username: "andrew", page_views: "1" })],
    ["a hash with some of them", (key) => redis.hSet(key, { username: "andrew", session_ttl: "60" })],
  ];
  for (const [what, write] of others) {
    test(`opens no session, and does not touch it: ${what}`, async () => {
      const app = await openApp();
      const key = app.key(ABSENT);
      await write(key);
      const before = await snapshot(key);
      const cookie = `sid=${ABSENT}`;
      assert.deepEqual((await withCookie(app, "/session", cookie)).json, NO_SESSION);
      const replies = [
        await withCookie(app, "/", cookie),
        await withCookie(app, "/", cookie, { headers: { accept: "text/html" } }),
        await withCookie(app, "/increment", cookie, { method: "POST" }),
        await withCookie(app, "/ttl", cookie, { method: "POST", body: new URLSearchParams({ ttl: "5" }) }),
        await withCookie(app, "/rotate", cookie, { method: "POST" }),
        await withCookie(app, "/logout", cookie, { method: "POST" }),
        await withCookie(app, "/login", cookie, { method: "POST" }),
      ];
      assert.deepEqual(
        replies.map(({ status }) => status),
        [200, 200, 401, 401, 401, 200, 200],
      );
      assert.deepEqual(await snapshot(key), before);
      assert.equal((await app.keys()).length, 2);
    });
  }

  test("opens a session of the guide's other demos, which has its times in +00:00", async () => {
    const app = await openApp();
    const now = `${new Date().toISOString().slice(0, 19)}.123456+00:00`;
    await redis.hSet(app.key(ABSENT), {
      username: "ruby",
      page_views: "7",
      session_ttl: "60",
      created_at: now,
      last_accessed_at: now,
    });
    const { status, json } = await withCookie(app, "/increment", `sid=${ABSENT}`, { method: "POST" });
    assert.deepEqual([status, json.page_views, json.ttl], [200, 8, 60]);
  });
});
