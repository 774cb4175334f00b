import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Browser, type Reply } from "../browser.ts";
import { openDemo } from "../demo-in-process.ts";
import { spawnServerWith } from "../demo-process.ts";
import { sendRaw } from "../raw-http.ts";
import { whilePaused } from "../redis-connection.ts";
import { spawnRedis } from "../redis-process.ts";

const { redis, openApp } = await openDemo();

const AS_FORM = { accept: "text/html" };
const FORM = "application/x-www-form-urlencoded";

const flashOf = ({ setCookies }: Reply) => setCookies.find((header) => /^(__Host-)?flash=/.test(header)) ?? "";
const cookieOf = (setCookie: string) => setCookie.split(";")[0]!;

describe("the notice of a form", () => {
  test("travels in a cookie for 30 seconds that scripts and other sites do not get", async () => {
    const { logIn } = await openApp();
    const { browser } = await logIn();
    const flash = flashOf(await browser.post("/increment", {}, AS_FORM));
    assert.match(flash, /^flash=[\w-]+; Max-Age=30; Path=\/; HttpOnly; SameSite=Lax$/);
  });

  test("travels in a __Host- cookie over HTTPS only with --secure-cookie", async () => {
    const { logIn } = await openApp({ secure: true });
    const { browser } = await logIn();
    const flash = flashOf(await browser.post("/increment", {}, AS_FORM));
    assert.match(flash, /^__Host-flash=[\w-]+; Max-Age=30; Path=\/; HttpOnly; Secure; SameSite=Lax$/);
    const page = await browser.get("/", AS_FORM);
    assert.match(page.shown, /Page view counted/);
    assert.match(flashOf(page), /^__Host-flash=; Max-Age=0; Path=\/; HttpOnly; Secure; SameSite=Lax$/);
  });

  test("is not used up by a page that only peeks", async () => {
    const { logIn } = await openApp();
    const { browser } = await logIn();
    await browser.post("/increment", {}, AS_FORM);
    const peek = await browser.get("/?refresh=false", AS_FORM);
    assert.deepEqual([peek.setCookies, peek.shown.includes("Page view counted")], [[], false]);
    assert.match((await browser.get("/", AS_FORM)).shown, /Page view counted/);
  });

  test("is not taken away by a form with a mistake", async () => {
    const { logIn } = await openApp();
    const { browser } = await logIn();
    await browser.post("/increment", {}, AS_FORM);
    const mistake = await browser.post("/ttl", { ttl: "0" }, AS_FORM);
    assert.deepEqual([mistake.status, mistake.setCookies], [400, []]);
    assert.match((await browser.get("/", AS_FORM)).shown, /Page view counted/);
  });

  test("holds no personal data: neither the username nor the session ID", async () => {
    const { newBrowser } = await openApp();
    const browser = newBrowser();
    const login = await browser.post("/login", { username: "Grace Hopper" }, AS_FORM);
    const content = Buffer.from(cookieOf(flashOf(login)).slice("flash=".length), "base64url").toString();
    assert.match(content, /EVALSHA create/);
    assert.ok(!/Grace|Hopper/.test(content) && !content.includes(browser.sessionId), content);
  });
});

describe("the commands that a page shows", () => {
  test("are those of its own request, not those of others that use the session meanwhile", async () => {
    const { logIn, newBrowser } = await openApp();
    const { browser, id } = await logIn();
    for (const server of redis.servers()) await server.sendCommand(["CLIENT", "PAUSE", "300", "ALL"]);
    const [page, form] = await Promise.all([
      browser.get("/", AS_FORM),
      browser.post("/ttl", { ttl: "70" }, AS_FORM),
      ...Array.from({ length: 100 }, () => newBrowser(id).post("/increment")),
    ]);
    assert.ok(page.shown.includes("EVALSHA read"), page.shown);
    assert.ok(!/EVALSHA (increment|setTtl)/.test(page.shown));
    assert.doesNotMatch(page.text, /NaN/);
    const cookie = cookieOf(flashOf(form));
    const { commands } = JSON.parse(Buffer.from(cookie.slice("flash=".length), "base64url").toString()) as {
      commands: { text: string }[];
    };
    assert.deepEqual(
      commands.map(({ text }) => text.split(" ").slice(0, 2).join(" ")),
      ["EVALSHA setTtl"],
    );
  });

  test("stay few and the notice's cookie small while 60 slow forms wait and others read the session", async () => {
    const { logIn, newBrowser, port } = await openApp();
    const { browser, id } = await logIn({ ttl: "600" });
    const head =
      `POST /ttl HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nCookie: sid=${id}\r\nConnection: close\r\n` +
      `Content-Type: ${FORM}\r\nContent-Length: 7\r\n\r\nttl=60`;
    const sockets = Array.from({ length: 60 }, () => connect(port, "127.0.0.1").setEncoding("latin1"));
    const replies = sockets.map(async (socket) => {
      let received = "";
      for await (const part of socket) received += part;
      return received;
    });
    for (const socket of sockets) socket.write(head);
    for (let round = 0; round < 50; round++) {
      const reads = await Promise.all(Array.from({ length: 20 }, () => newBrowser(id).get("/session")));
      assert.ok(reads.every(({ status }) => status === 200));
    }
    for (const socket of sockets) socket.write("0");
    for (const reply of await Promise.all(replies)) {
      assert.match(reply, /^HTTP\/1\.1 303 /);
      assert.ok(reply.length < 3000, `a reply of ${reply.length} bytes`);
    }
    const page = await browser.get("/", AS_FORM);
    assert.ok(page.text.length < 64_000, `a page of ${page.text.length} characters`);
  });
});

describe("a mistake in a form", () => {
  test("does not extend the session, for which it is shown on the page", async () => {
    const { logIn } = await openApp();
    const { browser, key } = await logIn();
    await redis.pExpire(key, 5000);
    const expiry = await redis.pExpireTime(key);
    const { status } = await browser.post("/ttl", { ttl: "0" }, AS_FORM);
    assert.deepEqual([status, await redis.pExpireTime(key)], [400, expiry]);
  });

  test("does not hide an outage: without Redis the reply is 503", async () => {
    const { logIn } = await openApp({ timeoutMs: 1000 });
    const { browser } = await logIn();
    const { status, setCookies } = await whilePaused(redis, () => browser.post("/ttl", { ttl: "0" }, AS_FORM));
    assert.deepEqual([status, setCookies], [503, []]);
  });
});

describe("page_views that somebody made no integer", () => {
  for (const value of ["many", "1.5", "9007199254740991"]) {
    test(`get 409, and leave the session as it is: ${value}`, async () => {
      const { logIn } = await openApp();
      const { browser, key } = await logIn();
      await redis.hSet(key, "page_views", value);
      const program = await browser.post("/increment");
      assert.deepEqual([program.status, program.json.error?.slice(0, 10)], [409, "page_views"]);
      const form = await browser.post("/increment", {}, AS_FORM);
      assert.equal(form.status, 409);
      assert.match(form.shown, /page_views does not hold/);
      assert.equal((await browser.get("/session")).json.session?.["page_views"], value);
    });
  }
});

/** Peeks each few milliseconds, as a second tab does each second, while the form is under way. */
async function peekDuring(browser: Browser, form: Promise<Reply>): Promise<void> {
  const peeks: Promise<Reply>[] = [];
  const done = form.then(() => true);
  do peeks.push(browser.get("/session?refresh=false"), browser.get("/?refresh=false", AS_FORM));
  while (!(await Promise.race([done, sleep(1, false)])));
  await Promise.all(peeks);
}

describe("a second tab", () => {
  for (const path of ["/login", "/rotate"]) {
    test(`that peeks during POST ${path} signs nobody out, 150 times out of 150`, async () => {
      const { logIn } = await openApp();
      const { browser } = await logIn();
      for (let round = 0; round < 150; round++) {
        await peekDuring(browser, browser.post(path));
        const { json } = await browser.get("/session");
        assert.equal(json.authenticated, true, `round ${round}`);
      }
    });
  }
});

describe("a log-in over an old session", () => {
  test("gets 503 and no cookie when the old session cannot be ended", async (t) => {
    const ownRedis = await spawnRedis(t);
    await ownRedis.send("ACL", "SETUSER", "demo", "on", ">demo", "~*", "&*", "+@all");
    const { browser } = await spawnServerWith(t, ownRedis, { user: "demo:demo@" });
    await browser.post("/login");
    const old = browser.sessionId;
    await ownRedis.send("ACL", "SETUSER", "demo", "-del");
    const { status, setCookies } = await browser.post("/login");
    assert.deepEqual([status, setCookies, browser.sessionId], [503, [], old]);
  });
});

describe("a form from another site", () => {
  test("is refused before its body is read", async () => {
    const { port } = await openApp();
    const head = `POST /login HTTP/1.1\nHost: localhost\nSec-Fetch-Site: cross-site\nContent-Type: ${FORM}\nContent-Length: 20\n\n`;
    assert.match(await sendRaw(port, head), /^HTTP\/1\.1 403 /);
  });
});

describe("the Host header", () => {
  const hosts: [host: string, status: number][] = [
    ["localhost", 200],
    ["LOCALHOST:8080", 200],
    ["localhost.:8080", 200],
    ["app.localhost:8080", 200],
    ["127.0.0.1:8080", 200],
    ["[::1]:8080", 200],
    ["[::ffff:127.0.0.1]", 200],
    ["192.168.0.7", 200],
    ["demo", 200],
    ["evil.example", 421],
    ["evil.example:8080", 421],
    ["evil.example.", 421],
    ["127.0.0.1.evil.example", 421],
    ["localhost.evil.example", 421],
  ];
  for (const [host, expected] of hosts) {
    test(`that a loopback server ${expected === 200 ? "accepts" : "refuses, as after DNS rebinding"}: ${host}`, async () => {
      const { port, keys } = await openApp();
      for (const request of ["GET / HTTP/1.1", "POST /login HTTP/1.1"]) {
        const head = `${request}\nHost: ${host}\nContent-Length: 0\nConnection: close\n\n`;
        assert.equal((await sendRaw(port, head)).slice("HTTP/1.1 ".length, 12), String(expected));
      }
      assert.equal((await keys()).length, expected === 200 ? 1 : 0);
    });
  }

  test("may be any with --secure-cookie, which is for a server behind a proxy", async () => {
    const { port } = await openApp({ secure: true });
    assert.match(await sendRaw(port, "GET / HTTP/1.1\nHost: shop.example\nConnection: close\n\n"), /^HTTP\/1\.1 200 /);
  });

  for (const lines of ["Host: localhost\nHost: localhost", "Host: localhost\nX: y\nhOST: evil.example"]) {
    test(`must be there once: ${JSON.stringify(lines)}`, async () => {
      const { port } = await openApp();
      assert.match(await sendRaw(port, `GET /session HTTP/1.1\n${lines}\nConnection: close\n\n`), /^HTTP\/1\.1 400 /);
    });
  }
});

/** Sends the body when it is asked to, and returns all that the server sends. */
async function converse(t: TestContext, port: number, length: number, body: string) {
  const socket = connect(port, "127.0.0.1").setEncoding("latin1");
  t.after(() => socket.destroy());
  let received = "";
  socket.on("data", (part: string) => {
    received += part;
    if (received === "HTTP/1.1 100 Continue\r\n\r\n") socket.write(body);
  });
  socket.write(
    `POST /login HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nConnection: close\r\n` +
      `Content-Type: ${FORM}\r\nContent-Length: ${length}\r\n\r\n`,
  );
  await new Promise((resolve) => socket.once("close", resolve));
  return received;
}

describe("Expect: 100-continue", () => {
  for (const [version, expectation] of [
    ["1.0", "100-continue"],
    ["1.1", "something else"],
  ]) {
    test(`gets no 100 with HTTP/${version} and Expect: ${expectation}`, async () => {
      const { port } = await openApp();
      const head = `POST /login HTTP/${version}\nHost: localhost\nExpect: ${expectation}\nConnection: close\nContent-Type: ${FORM}\nContent-Length: 3`;
      assert.match(await sendRaw(port, `${head}\n\na=b`), /^HTTP\/1\.1 200 /);
    });
  }

  test("gets 100, and a reply once the body is there", async (t) => {
    const { port } = await openApp();
    const received = await converse(t, port, 14, "username=grace");
    assert.match(received, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 [^]*"username":"grace"/);
  });

  test("gets 413 and no 100 when the body would be too large", async (t) => {
    const { port } = await openApp();
    assert.match(await converse(t, port, 16_385, ""), /^HTTP\/1\.1 413 /);
  });

  test("gets 403 and no 100 from another site", async () => {
    const { port } = await openApp();
    const head = `POST /login HTTP/1.1\nHost: localhost\nExpect: 100-continue\nOrigin: null\nContent-Type: ${FORM}\nContent-Length: 9\n\n`;
    assert.match(await sendRaw(port, head), /^HTTP\/1\.1 403 /);
  });
});
