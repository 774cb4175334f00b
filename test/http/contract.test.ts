import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Browser, Reply, RequestOptions } from "../browser.ts";
import { costOf } from "../command-statistics.ts";
import { openDemo } from "../demo-in-process.ts";
import { sendRaw } from "../raw-http.ts";

const { redis, openApp } = await openDemo();

const AS_FORM = { accept: "text/html,application/xhtml+xml;q=0.9" };
const ABSENT = "A".repeat(43);
const SMILE = "👩🏽";
const WRITES = new Set(["hset", "hincrby", "pexpireat", "pexpire", "expire", "persist", "set", "del", "unlink"]);

const noticeIn = ({ shown }: Reply) => /class="notice[^>]*>(.*?)<\/p>/s.exec(shown)?.[1] ?? "";
const count = (text: string, part: string) => text.split(part).length - 1;
const fieldOf = ({ shown }: Reply, name: string) =>
  (shown.match(new RegExp(`<(input|button) id="[^>]* name="${name}"[^>]*>`, "g")) ?? []).join("");
/** Without what changes as time passes. */
function timeless({ json }: Reply) {
  const { ttl: _, page_views: __, session, ...rest } = json;
  const { ttl: ___, last_accessed_at: ____, ...fields } = session ?? {};
  return { ...rest, ...fields };
}
const attributesOf = (setCookie = "") => setCookie.split("; ").slice(1).toSorted();

function assertCleared({ setCookies }: Reply, name = "sid") {
  const cleared = setCookies.filter((header) => header.startsWith(`${name}=;`));
  assert.equal(cleared.length, 1, String(setCookies));
  assert.ok(attributesOf(cleared[0]).includes("Max-Age=0"), cleared[0]);
}

const assertNoSessionCookie = ({ setCookies }: Reply) =>
  assert.deepEqual(
    setCookies.filter((header) => header.includes("sid=")),
    [],
  );

describe("POST /login", () => {
  test("starts a session and replies as GET /session does", async () => {
    const { newBrowser, key } = await openApp();
    const browser = newBrowser();
    const reply = await browser.post("/login", { username: "andrew", ttl: "15" });
    const { status, json } = reply;
    const { created_at, session_deadline } = await redis.hGetAll(key(browser.sessionId));
    assert.equal(status, 200);
    assert.deepEqual(json, {
      authenticated: true,
      session_id: browser.sessionId,
      session: {
        username: "andrew",
        page_views: "1",
        device: "Unknown device",
        session_ttl: "15",
        created_at,
        last_accessed_at: created_at,
        session_deadline,
        session_user: "andrew",
        ttl: "15",
      },
      configured_ttl: 15,
      ttl: 15,
    });
    assert.deepEqual(timeless(await browser.get("/session")), timeless(reply));
  });

  test("gives the browser nothing but an opaque ID, in a cookie that scripts and other sites do not get", async () => {
    const { newBrowser } = await openApp();
    const browser = newBrowser();
    const { setCookies } = await browser.post("/login", { username: "andrew" });
    assert.match(browser.sessionId, /^[A-Za-z0-9_-]{43}$/);
    assert.deepEqual(setCookies, [`sid=${browser.sessionId}; Path=/; HttpOnly; SameSite=Lax`]);
  });

  test("is a Guest for 60 seconds unless told otherwise", async () => {
    const { newBrowser } = await openApp();
    const { json } = await newBrowser().post("/login");
    assert.deepEqual([json.session?.["username"], json.configured_ttl, json.ttl], ["Guest", 60, 60]);
  });

  const usernames: [what: string, typed: string, kept: string | undefined][] = [
    ["takes a blank username for Guest", " \t ", "Guest"],
    ["trims the username", "  Ada Lovelace\n", "Ada Lovelace"],
    ["takes a username of 40 characters", "x".repeat(40), "x".repeat(40)],
    ["takes 40 characters and the space around them", ` ${"x".repeat(40)} `, "x".repeat(40)],
    ["takes 40 emoji", "😀".repeat(40), "😀".repeat(40)],
    ["takes an emoji of several code points", SMILE, SMILE],
    ["takes a right-to-left username", "שרה עומר", "שרה עומר"],
    ["refuses a username of 41 characters", "x".repeat(41), undefined],
    ["refuses 41 emoji", "😀".repeat(41), undefined],
  ];
  for (const [what, username, kept] of usernames) {
    test(what, async () => {
      const { newBrowser, keys } = await openApp();
      const { status, json } = await newBrowser().post("/login", { username });
      assert.equal(status, kept === undefined ? 400 : 200);
      assert.equal(json.session?.["username"], kept);
      if (kept === undefined) {
        assert.match(json.error ?? "", /username.*40/i);
        assert.deepEqual(await keys(), []);
      }
    });
  }

  test("ends the session that the browser already had", async () => {
    const { logIn, keys, key } = await openApp();
    const { browser, id } = await logIn();
    await browser.post("/login");
    assert.notEqual(browser.sessionId, id);
    assert.deepEqual(await keys(), [key(browser.sessionId)]);
  });

  test("leaves the session alone when it refuses the form", async () => {
    const { logIn, keys } = await openApp();
    const { browser, key } = await logIn();
    assertNoSessionCookie(await browser.post("/login", { ttl: "0" }));
    assert.deepEqual(await keys(), [key]);
  });

  test("takes absolute_ttl for the absolute timeout, in seconds", async () => {
    const { newBrowser, key } = await openApp({ absoluteTtl: 1000 });
    const browser = newBrowser();
    const { json } = await browser.post("/login", { absolute_ttl: "100", ttl: "90" });
    const [expiry, deadline] = [
      await redis.pExpireTime(key(browser.sessionId)),
      Number(json.session?.["session_deadline"]),
    ];
    assert.deepEqual([json.configured_ttl, json.ttl], [90, 90]);
    assert.ok(deadline * 1000 - expiry > 0 && deadline * 1000 - expiry <= 11_000, `${deadline} and ${expiry}`);
  });

  test("gives a session whose absolute timeout is below the default TTL that TTL", async () => {
    const { newBrowser } = await openApp();
    const { json } = await newBrowser().post("/login", { absolute_ttl: "20" });
    assert.equal(json.configured_ttl, 20);
  });

  const wrongTimeouts: [form: Record<string, string>, error: string][] = [
    [{ absolute_ttl: "1.5" }, "The absolute timeout must be a whole number of seconds from 1 to 1000."],
    [{ absolute_ttl: "0" }, "The absolute timeout must be a whole number of seconds from 1 to 1000."],
    [{ absolute_ttl: "" }, "The absolute timeout must be a whole number of seconds from 1 to 1000."],
    [{ absolute_ttl: "1001" }, "The absolute timeout must be a whole number of seconds from 1 to 1000."],
    [{ absolute_ttl: "50", ttl: "51" }, "TTL must be at most 50 seconds."],
  ];
  for (const [form, error] of wrongTimeouts) {
    test(`refuses ${JSON.stringify(form)} and creates no session`, async () => {
      const { newBrowser, keys } = await openApp({ absoluteTtl: 1000 });
      const { status, json } = await newBrowser().post("/login", form);
      assert.deepEqual([status, json, await keys()], [400, { error }, []]);
    });
  }

  test("never takes an ID from the browser", async () => {
    const { newBrowser } = await openApp();
    const browser = newBrowser(ABSENT);
    await browser.post("/login");
    assert.notEqual(browser.sessionId, ABSENT);
  });
});

test("GET /script shows the store's script with the lines of an operation marked", async () => {
  const { newBrowser } = await openApp();
  const { status, shown } = await newBrowser().get("/script?operation=increment", AS_FORM);
  assert.equal(status, 200);
  assert.match(shown, /<mark>.*HINCRBY/);
  assert.match(shown, /aria-current="page">increment</);
});

describe("GET /session", () => {
  test("extends the session", async () => {
    const { logIn } = await openApp();
    const { browser, id, key } = await logIn({ ttl: "50" });
    await redis.pExpire(key, 5000);
    const { status, json, setCookies } = await browser.get("/session");
    assert.deepEqual([status, json.session_id, json.configured_ttl, json.ttl], [200, id, 50, 50]);
    assert.deepEqual(setCookies, []);
    assert.ok((await redis.pTTL(key)) > 40_000);
  });

  test("peeks with ?refresh=false, which extends and writes nothing", async () => {
    const { logIn } = await openApp();
    const { browser, key } = await logIn({ ttl: "50" });
    await redis.expire(key, 20);
    const expiry = await redis.pExpireTime(key);
    let json = {};
    const { commands } = await costOf(redis, async () => {
      ({ json } = await browser.get("/session?refresh=false"));
    });
    assert.deepEqual(
      Object.keys(commands).filter((command) => WRITES.has(command)),
      [],
    );
    assert.equal(await redis.pExpireTime(key), expiry);
    const { session } = json as { session: Record<string, string> };
    assert.deepEqual(json, { ...json, authenticated: true, configured_ttl: 50, ttl: Number(session["ttl"]) });
    assert.equal(session["session_ttl"], "50");
    assert.ok(Number(session["ttl"]) <= 20, session["ttl"]);
  });

  test("knows no session without a cookie, and sets none", async () => {
    const { newBrowser } = await openApp();
    const { status, json, setCookies } = await newBrowser().get("/session");
    assert.deepEqual([status, json, setCookies], [200, { authenticated: false, session: null }, []]);
  });

  for (const path of ["/session", "/session?refresh=false"]) {
    test(`${path} leaves the cookie of a dead session alone`, async () => {
      const { newBrowser } = await openApp();
      const { status, json, setCookies } = await newBrowser(ABSENT).get(path);
      assert.deepEqual([status, json, setCookies], [200, { authenticated: false, session: null }, []]);
    });
  }
});

describe("GET /", () => {
  test("is a page, whatever is asked for", async () => {
    const { newBrowser } = await openApp();
    for (const accept of ["text/html", "application/json", "*/*"]) {
      const { status, headers, text, setCookies } = await newBrowser().get("/", { accept });
      assert.deepEqual([status, headers.get("content-type")], [200, "text/html; charset=utf-8"]);
      assert.match(text, /^<!doctype html>[^]*<form method="post" action="\/login"/);
      assert.deepEqual(setCookies, []);
    }
  });

  test("shows the ID, the key and every field of the session", async () => {
    const { logIn } = await openApp();
    const { browser, id, key } = await logIn({ username: "andrew", ttl: "50" });
    const { shown } = await browser.get("/");
    const fields = await redis.hGetAll(key);
    for (const text of [id, key, ...Object.keys(fields), ...Object.values(fields)]) {
      assert.ok(shown.includes(text), text);
    }
  });

  test("extends the session", async () => {
    const { logIn } = await openApp();
    const { browser, key } = await logIn();
    await redis.pExpire(key, 5000);
    await browser.get("/");
    assert.ok((await redis.pTTL(key)) > 40_000);
  });

  test("clears a cookie that opens nothing, and says once that the session ended", async () => {
    const { newBrowser } = await openApp();
    const browser = newBrowser(ABSENT);
    const reply = await browser.get("/");
    assert.equal(reply.status, 200);
    assertCleared(reply);
    assert.equal(count(reply.shown, "Session ended"), 1);
    assert.equal(count((await browser.get("/")).shown, "Session ended"), 0);
  });
});

describe("POST /increment", () => {
  test("counts a page view and replies with the session and the new number", async () => {
    const { logIn } = await openApp();
    const { browser, id } = await logIn({ username: "andrew", ttl: "15" });
    const reply = await browser.post("/increment");
    const { status, json } = reply;
    assert.deepEqual([status, json.page_views, json.session?.["page_views"]], [200, 2, "2"]);
    assert.equal(json.session_id, id);
    assert.deepEqual(timeless(reply), timeless(await browser.get("/session?refresh=false")));
  });

  test("extends the session", async () => {
    const { logIn } = await openApp();
    const { browser, key } = await logIn();
    await redis.pExpire(key, 5000);
    assert.equal((await browser.post("/increment")).json.ttl, 60);
    assert.ok((await redis.pTTL(key)) > 40_000);
  });
});

describe("POST /ttl", () => {
  for (const ttl of ["1000", "20", "86400"]) {
    test(`gives the session ${ttl} seconds from now`, async () => {
      const { logIn } = await openApp();
      const { browser, key } = await logIn();
      const reply = await browser.post("/ttl", { ttl });
      const { status, json } = reply;
      assert.deepEqual([status, json.configured_ttl, json.ttl], [200, Number(ttl), Number(ttl)]);
      assert.deepEqual(timeless(reply), timeless(await browser.get("/session?refresh=false")));
      assert.equal(await redis.hGet(key, "session_ttl"), ttl);
    });
  }

  test("refuses a TTL over the limit, naming the limit", async () => {
    const { logIn } = await openApp({ absoluteTtl: 100 });
    const { browser, key } = await logIn({ ttl: "100" });
    const before = await redis.dump(key);
    for (const path of ["/ttl", "/login"]) {
      const { status, json } = await browser.post(path, { ttl: "101" });
      assert.equal(status, 400);
      assert.match(json.error ?? "", /TTL.*100/);
    }
    assert.deepEqual(await redis.dump(key), before);
  });

  test("refuses a form without a TTL", async () => {
    const { logIn } = await openApp();
    const { browser } = await logIn();
    const { status, json } = await browser.post("/ttl");
    assert.deepEqual([status, json], [400, { error: "TTL must be a whole number greater than 0." }]);
  });
});

describe("POST /rotate", () => {
  test("gives the same session a new ID and forgets the old one", async () => {
    const { logIn, keys, key, newBrowser } = await openApp();
    const { browser, id } = await logIn({ username: "andrew", ttl: "500" });
    await browser.post("/increment");
    const old = await browser.get("/session");
    const reply = await browser.post("/rotate");
    const { status, setCookies } = reply;
    assert.equal(status, 200);
    assert.notEqual(browser.sessionId, id);
    assert.deepEqual(timeless(reply), { ...timeless(old), session_id: browser.sessionId });
    assert.deepEqual(setCookies, [`sid=${browser.sessionId}; Path=/; HttpOnly; SameSite=Lax`]);
    assert.deepEqual(await keys(), [key(browser.sessionId)]);
    const thief = newBrowser(id);
    assert.equal((await thief.get("/session")).json.authenticated, false);
  });

  test("keeps the absolute deadline", async () => {
    const { logIn, key } = await openApp({ absoluteTtl: 1000 });
    const { browser, key: oldKey } = await logIn({ ttl: "1000" });
    const fixed = ["created_at", "session_deadline"];
    const before = await redis.hmGet(oldKey, fixed);
    await browser.post("/rotate");
    assert.deepEqual(await redis.hmGet(key(browser.sessionId), fixed), before);
    assert.ok((await redis.pExpireTime(key(browser.sessionId))) <= Number(before[1]) * 1000);
  });
});

describe("POST /logout", () => {
  test("deletes the session and clears the cookie", async () => {
    const { logIn, keys } = await openApp();
    const { browser } = await logIn();
    const reply = await browser.post("/logout");
    assert.deepEqual([reply.status, reply.json], [200, { authenticated: false }]);
    assertCleared(reply);
    assert.deepEqual(attributesOf(reply.setCookies[0]), ["HttpOnly", "Max-Age=0", "Path=/", "SameSite=Lax"]);
    assert.deepEqual(await keys(), []);
  });

  test("is no mistake without a session, nor with a dead cookie", async () => {
    const { newBrowser } = await openApp();
    for (const browser of [newBrowser(), newBrowser(ABSENT)]) {
      const { status, json } = await browser.post("/logout");
      assert.deepEqual([status, json], [200, { authenticated: false }]);
    }
  });
});

describe("GET /healthz", () => {
  test("says that Redis is there, and leaves nothing in it", async () => {
    const { newBrowser, keys } = await openApp();
    const { status, text, setCookies } = await newBrowser().get("/healthz");
    assert.deepEqual([status, text, setCookies], [200, '{"redis":"ok"}', []]);
    assert.deepEqual(await keys(), []);
  });
});

describe("a form", () => {
  const forms: [path: string, form: Record<string, string>, outcome: RegExp][] = [
    ["/login", { username: "andrew", ttl: "15" }, /started/i],
    ["/increment", {}, /counted/i],
    ["/ttl", { ttl: "500" }, /TTL changed/i],
    ["/rotate", {}, /new session ID/i],
    ["/logout", {}, /logged out/i],
  ];
  for (const [path, form, outcome] of forms) {
    test(`POST ${path} leads to the page, which shows the outcome once`, async () => {
      const { logIn } = await openApp();
      const { browser } = await logIn();
      const { status, headers, text } = await browser.post(path, form, AS_FORM);
      assert.deepEqual([status, headers.get("location"), text], [303, "/", ""]);
      const page = await browser.get("/", AS_FORM);
      assert.match(noticeIn(page), outcome);
      assert.equal(count(page.shown, noticeIn(page)), 1);
      const again = await browser.get("/", AS_FORM);
      assert.equal(count(again.shown, noticeIn(page)), 0);
    });
  }

  test("does what it does for a program", async () => {
    const { newBrowser, key, keys } = await openApp();
    const browser = newBrowser();
    await browser.post("/login", { username: "andrew", ttl: "15" }, AS_FORM);
    const id = browser.sessionId;
    await browser.post("/increment", {}, AS_FORM);
    await browser.post("/ttl", { ttl: "500" }, AS_FORM);
    await browser.post("/rotate", {}, AS_FORM);
    assert.notEqual(browser.sessionId, id);
    const { username, page_views, session_ttl } = await redis.hGetAll(key(browser.sessionId));
    assert.deepEqual(
      { username, page_views, session_ttl },
      { username: "andrew", page_views: "2", session_ttl: "500" },
    );
    await browser.post("/logout", {}, AS_FORM);
    assert.equal(browser.sessionId, "");
    assert.deepEqual(await keys(), []);
  });

  test("sets the cookie as exactly as for a program", async () => {
    const { newBrowser } = await openApp();
    const browser = newBrowser();
    const { setCookies } = await browser.post("/login", { username: "andrew" }, AS_FORM);
    assert.ok(setCookies.includes(`sid=${browser.sessionId}; Path=/; HttpOnly; SameSite=Lax`), String(setCookies));
    assert.ok(!String(setCookies).includes("andrew"));
    assertCleared(await browser.post("/logout", {}, AS_FORM));
  });

  const mistakes: [what: string, path: string, form: Record<string, string>, field: string, error: RegExp][] = [
    [
      "a TTL that is none",
      "/login",
      { username: "andrew", ttl: "1.5" },
      "ttl",
      /TTL must be a whole number greater than 0\./,
    ],
    ["a TTL over the limit", "/login", { ttl: "2592001" }, "ttl", /TTL must be at most 2592000 seconds\./],
    [
      "a username too long",
      "/login",
      { username: "x".repeat(41), ttl: "9" },
      "username",
      /Username must be at most 40 characters\./,
    ],
    ["a TTL that is none, of a session", "/ttl", { ttl: "0" }, "ttl", /TTL must be a whole number greater than 0\./],
  ];
  for (const [what, path, form, field, error] of mistakes) {
    test(`comes back on the page, as it was typed, with the error in place and its status: ${what}`, async () => {
      const { logIn, newBrowser, keys } = await openApp();
      const browser = path === "/ttl" ? (await logIn()).browser : newBrowser();
      const before = await keys();
      const reply = await browser.post(path, form, AS_FORM);
      assert.deepEqual([reply.status, reply.headers.get("content-type")], [400, "text/html; charset=utf-8"]);
      assert.match(reply.shown, error);
      assert.match(fieldOf(reply, field), /aria-invalid="true"/);
      for (const [name, value] of Object.entries(form)) {
        assert.ok(fieldOf(reply, name).includes(`value="${value}"`), fieldOf(reply, name));
      }
      assertNoSessionCookie(reply);
      assert.deepEqual(await keys(), before);
      assert.doesNotMatch((await browser.get("/")).shown, error);
    });
  }
});

describe("without a live session", () => {
  for (const path of ["/increment", "/ttl", "/rotate"]) {
    for (const [headers, as] of [
      [{}, "a program"],
      [AS_FORM, "a form"],
    ] as const) {
      test(`POST ${path} replies 401 to ${as} without a cookie`, async () => {
        const { newBrowser, keys } = await openApp();
        const reply = await newBrowser().post(path, { ttl: "15" }, headers);
        assert.equal(reply.status, 401);
        if (as === "a program") assert.deepEqual(reply.json, { error: "No active session" });
        else assert.equal(count(reply.shown, "No active session"), 1);
        assertNoSessionCookie(reply);
        assert.deepEqual(await keys(), []);
      });

      test(`POST ${path} replies 401 to ${as} with a dead cookie, and leaves the cookie alone`, async () => {
        const { newBrowser, keys } = await openApp();
        const browser = newBrowser(ABSENT);
        const reply = await browser.post(path, { ttl: "15" }, headers);
        assert.equal(reply.status, 401);
        if (as === "a program") assert.deepEqual(reply.json, { error: "Session expired" });
        else assert.equal(count(reply.shown, "Session expired"), 1);
        assertNoSessionCookie(reply);
        assert.deepEqual(await keys(), []);
      });
    }
  }
});

describe("where a POST comes from", () => {
  const OWN = "own origin";
  const origins: [headers: Record<string, string>, status: 200 | 403][] = [
    [{}, 200],
    [{ "sec-fetch-site": "same-origin" }, 200],
    [{ "sec-fetch-site": "same-site", origin: OWN }, 403],
    [{ origin: OWN }, 200],
    [{ origin: "https://evil.example" }, 403],
  ];
  for (const [headers, expected] of origins) {
    test(`${expected === 403 ? "is refused" : "may be"}: ${JSON.stringify(headers)}`, async () => {
      const { newBrowser, keys, host } = await openApp();
      const sent = Object.entries(headers).map(([name, value]) => [name, value.replace(OWN, `http://${host}`)]);
      const reply = await newBrowser().post("/login", {}, Object.fromEntries(sent));
      assert.equal(reply.status, expected);
      assert.equal((await keys()).length, expected === 403 ? 0 : 1);
      assert.equal(reply.setCookies.length, expected === 403 ? 0 : 1);
      if (expected === 403) assert.match(reply.json.error ?? "", /^[A-Z].*\.$/);
    });
  }

  test("keeps another site from changing anything, on any route, with the cookie too", async () => {
    const { logIn } = await openApp();
    const { browser, id, key } = await logIn();
    const before = [await redis.dump(key), await redis.pExpireTime(key)];
    const paths = [
      "/login",
      "/increment",
      "/ttl",
      "/rotate",
      "/logout",
      "/sessions/end",
      "/sessions/end-others",
      "/race",
    ];
    for (const path of paths) {
      for (const accept of ["*/*", AS_FORM.accept]) {
        const reply = await browser.post(path, { ttl: "5" }, { accept, "sec-fetch-site": "cross-site" });
        assert.equal(reply.status, 403, path);
        assert.deepEqual(reply.setCookies, [], path);
      }
    }
    assert.equal(browser.sessionId, id);
    assert.deepEqual([await redis.dump(key), await redis.pExpireTime(key)], before);
  });

  test("is of no concern for a GET, which any link may cause", async () => {
    const { newBrowser } = await openApp();
    for (const path of ["/", "/session", "/healthz"]) {
      assert.equal((await newBrowser().get(path, { "sec-fetch-site": "cross-site" })).status, 200);
    }
  });
});

describe("addresses and methods", () => {
  const routes: [allow: string, methods: string[], paths: string[]][] = [
    ["GET, HEAD", ["POST", "PUT", "DELETE", "OPTIONS"], ["/", "/session", "/sessions", "/healthz", "/style.css"]],
    [
      "POST",
      ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"],
      ["/login", "/increment", "/ttl", "/rotate", "/logout", "/sessions/end", "/sessions/end-others"],
    ],
  ];
  for (const [allow, methods, paths] of routes) {
    for (const path of paths) {
      test(`${path} takes ${allow} and replies 405 to ${methods.join(", ")}`, async () => {
        const { newBrowser } = await openApp();
        for (const method of methods) {
          const { status, headers, json } = await newBrowser().send(path, { method });
          assert.deepEqual([status, headers.get("allow")], [405, allow], method);
          if (method !== "HEAD") assert.match(json.error ?? "", /^[A-Z].*\.$/);
        }
      });
    }
  }

  for (const path of ["/nothing", "/session/", "/Session", "/login/1", "/index.html", "/views/page.js"]) {
    test(`${path} replies 404 by any method`, async () => {
      const { newBrowser } = await openApp();
      for (const method of ["GET", "POST"]) {
        const { status, json } = await newBrowser().send(path, { method });
        assert.equal(status, 404);
        assert.match(json.error ?? "", /^[A-Z].*\.$/);
      }
    });
  }

  for (const path of ["/", "/session", "/healthz", "/page.js", "/style.css"]) {
    test(`HEAD ${path} replies as GET does, without the body`, async () => {
      const { logIn } = await openApp();
      const { browser } = await logIn();
      const get = await browser.get(path);
      const head = await browser.send(path, { method: "HEAD" });
      for (const name of ["cache-control", "content-security-policy", "content-type"]) {
        assert.equal(head.headers.get(name), get.headers.get(name), name);
      }
      assert.equal(head.status, get.status);
      assert.notEqual(head.headers.get("content-length") ?? "0", "0");
      assert.equal(head.text, "");
    });
  }
});

const filled = (bytes: number) => "username=andrew&filler=".padEnd(bytes, "x");

describe("the body of a form", () => {
  const type = "application/x-www-form-urlencoded";

  test("may have 16 KiB", async () => {
    const { newBrowser } = await openApp();
    const headers = { "content-type": type };
    const { status } = await newBrowser().send("/login", { method: "POST", headers, body: filled(16_384) });
    assert.equal(status, 200);
  });

  test("is refused with 413 when it is larger", async () => {
    const { newBrowser, keys } = await openApp();
    for (const accept of ["*/*", AS_FORM.accept]) {
      const headers = { "content-type": type, accept };
      const init = { method: "POST", headers, body: filled(16_385) };
      const { status, shown } = await newBrowser().send("/login", init);
      assert.equal(status, 413);
      assert.match(shown, /16384|16 KiB/);
    }
    assert.deepEqual(await keys(), []);
  });

  test("is refused by its Content-Length, before it is sent", async () => {
    const { port, host } = await openApp();
    const head = `POST /login HTTP/1.1\nHost: ${host}\nContent-Type: ${type}\nContent-Length: 20000000\n\n`;
    assert.match(await sendRaw(port, head), /^HTTP\/1\.1 413 [^]*"error":/);
  });

  test("is refused in chunks too, as soon as there is too much", async () => {
    const { port, host, keys } = await openApp();
    const head = `POST /login HTTP/1.1\nHost: ${host}\nContent-Type: ${type}\nTransfer-Encoding: chunked\n\n`;
    const chunk = `1000\n${"x".repeat(4096)}\n`;
    assert.match(await sendRaw(port, head + chunk.repeat(5)), /^HTTP\/1\.1 413 [^]*"error":/);
    assert.deepEqual(await keys(), []);
  });

  test("may come in chunks", async () => {
    const { port, host, keys } = await openApp();
    const head = `POST /login HTTP/1.1\nHost: ${host}\nConnection: close\nContent-Type: ${type}\nTransfer-Encoding: chunked\n\n`;
    assert.match(await sendRaw(port, `${head}5\nusern\n9\name=grace\n0\n\n`), /^HTTP\/1\.1 200 [^]*"grace"/);
    assert.equal((await keys()).length, 1);
  });

  const types: [type: string, status: number][] = [
    ["application/x-www-form-urlencoded", 200],
    ["application/x-www-form-urlencoded; charset=utf-8", 200],
    ["Application/X-WWW-Form-Urlencoded", 200],
    ["text/plain", 415],
    ["application/json", 415],
    ["multipart/form-data; boundary=x", 415],
    ["application/x-www-form-urlencodedx", 415],
  ];
  for (const [contentType, expected] of types) {
    test(`is ${expected === 200 ? "taken" : "refused with 415"} as ${contentType}`, async () => {
      const { newBrowser, keys } = await openApp();
      const headers = { "content-type": contentType };
      const { status, json } = await newBrowser().send("/login", {
        method: "POST",
        headers,
        body: "username=grace",
      });
      assert.equal(status, expected);
      assert.equal((await keys()).length, expected === 200 ? 1 : 0);
      if (expected === 415) assert.match(json.error ?? "", /^[A-Z].*\.$/);
    });
  }
});

describe("an error shown to a browser", () => {
  const errors: [what: string, status: number, path: string, init: RequestOptions][] = [
    ["a cross-site form", 403, "/login", { method: "POST", headers: { "sec-fetch-site": "cross-site" } }],
    ["an unknown address", 404, "/nothing", {}],
    ["a method that is not taken", 405, "/login", {}],
    ["a body that is no form", 415, "/login", { method: "POST", body: "x" }],
  ];
  for (const [what, status, path, { headers = {}, ...init }] of errors) {
    test(`is a page with the status ${status} that says so: ${what}`, async () => {
      const { newBrowser } = await openApp();
      const asProgram = await newBrowser().send(path, { ...init, headers });
      const asForm = await newBrowser().send(path, {
        ...init,
        headers: { ...AS_FORM, ...headers },
      });
      assert.deepEqual([asProgram.status, asForm.status], [status, status]);
      assert.equal(asForm.headers.get("content-type"), "text/html; charset=utf-8");
      assert.equal(count(asForm.shown, asProgram.json.error!), 1);
      assert.equal(asForm.headers.get("allow"), asProgram.headers.get("allow"));
    });
  }
});

describe("every reply", () => {
  const LOGIN = { method: "POST", body: new URLSearchParams({ ttl: "0" }) };
  const replies: [kind: string, path: string, init: RequestOptions][] = [
    ["the page", "/", {}],
    ["JSON", "/session", {}],
    ["HEAD", "/session", { method: "HEAD" }],
    ["health", "/healthz", {}],
    ["log-in", "/login", { method: "POST" }],
    ["log-out", "/logout", { method: "POST" }],
    ["303", "/logout", { method: "POST", headers: AS_FORM }],
    ["400", "/login", LOGIN],
    ["400 as a page", "/login", { ...LOGIN, headers: AS_FORM }],
    ["401", "/increment", { method: "POST" }],
    ["401 as a page", "/increment", { method: "POST", headers: AS_FORM }],
    ["403", "/login", { method: "POST", headers: { origin: "null" } }],
    ["404", "/nothing", {}],
    ["404 as a page", "/nothing", { headers: AS_FORM }],
    ["405", "/login", {}],
    ["413", "/login", { method: "POST", body: new URLSearchParams({ x: "x".repeat(17_000) }) }],
    ["415", "/login", { method: "POST", body: "x" }],
  ];
  for (const [kind, path, init] of replies) {
    test(`is kept by no cache and carries the security headers: ${kind}`, async () => {
      const { newBrowser } = await openApp();
      const { headers } = await newBrowser().send(path, init);
      assert.equal(headers.get("cache-control"), "no-store");
      assertSecurityHeaders(headers);
    });
  }

  test("may be cached where it is the page's own style sheet, script or icon", async () => {
    const { newBrowser } = await openApp();
    const page = await newBrowser().get("/");
    const linked = Array.from(page.text.matchAll(/<(?:link|script)[^>]* (?:href|src)="(.*?)"/g), ([, url]) => url!);
    const types = new Set<string>();
    for (const url of linked) {
      const { status, headers, text } = await newBrowser().get(url);
      assert.equal(status, 200);
      assert.match(headers.get("cache-control") ?? "", /max-age=[1-9]/);
      assert.notEqual(text, "");
      assertSecurityHeaders(headers);
      types.add(headers.get("content-type") ?? "");
    }
    assert.deepEqual(
      Array.from(types).toSorted((one, other) => one.localeCompare(other)),
      ["image/svg+xml", "text/css; charset=utf-8", "text/javascript; charset=utf-8"],
    );
  });

  test("has its scripts and styles in files of their own, as the policy demands", async () => {
    const { logIn } = await openApp();
    const { browser } = await logIn();
    const { text } = await browser.get("/");
    assert.doesNotMatch(text, /<style|<script(?![^>]* src=)|<[^>]* style=|<[^>]* on\w+=|javascript:/i);
    assert.doesNotMatch(text, /(?:src|href|action)="(?:https?:)?\/\//i);
  });
});

function assertSecurityHeaders(headers: Headers) {
  const policy = new Map(
    (headers.get("content-security-policy") ?? "").split(/; */).map((directive) => {
      const [name = "", ...values] = directive.split(" ");
      return [name, values.join(" ")];
    }),
  );
  assert.equal(policy.get("frame-ancestors"), "'none'");
  assert.equal(policy.get("form-action"), "'self'");
  assert.equal(policy.get("base-uri"), "'none'");
  const scripts = policy.get("script-src") ?? policy.get("default-src");
  assert.ok(scripts === "'self'" || scripts === "'none'", scripts);
  assert.equal(headers.get("x-content-type-options"), "nosniff");
  // With "no-referrer", older browsers send our own forms with `Origin: null`, which is refused.
  assert.equal(headers.get("referrer-policy"), "same-origin");
}

describe("with --secure-cookie", () => {
  test("the cookie is __Host-sid and Secure, and opens the session", async () => {
    const { newBrowser } = await openApp({ secure: true });
    const browser = newBrowser();
    const { setCookies } = await browser.post("/login");
    assert.equal(setCookies.length, 1);
    assert.ok(setCookies[0]?.startsWith(`__Host-sid=${browser.sessionId}; `), setCookies[0]);
    assert.deepEqual(attributesOf(setCookies[0]), ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]);
    assert.equal((await browser.get("/session")).json.authenticated, true);
  });

  test("the cookie is cleared as __Host-sid and Secure, which a browser asks for", async () => {
    const { newBrowser } = await openApp({ secure: true });
    const browser = newBrowser();
    await browser.post("/login");
    const reply = await browser.post("/logout");
    assertCleared(reply, "__Host-sid");
    assert.ok(attributesOf(reply.setCookies[0]).includes("Secure"));
  });

  test("a plain sid, which a neighbouring host could set, opens nothing", async () => {
    const { logIn, newBrowser } = await openApp({ secure: true });
    const { id } = await logIn();
    const browser = newBrowser(id);
    assert.equal((await browser.get("/session")).json.authenticated, false);
  });
});

describe("the cost", () => {
  const costs: [what: string, method: "get" | "post", path: string, scripts: string, evalsha: number][] = [
    ["GET /session", "get", "/session", "one script", 1],
    ["GET /session?refresh=false", "get", "/session?refresh=false", "one script", 1],
    ["POST /increment", "post", "/increment", "two scripts", 2],
  ];
  for (const [what, method, path, scripts, evalsha] of costs) {
    test(`of ${what} is ${scripts}, in one round trip`, async () => {
      const { logIn } = await openApp();
      const { browser } = await logIn();
      await browser.get("/"); // Redis has cached the scripts then
      const { commands, roundTrips } = await costOf(redis, () => browser[method](path));
      assert.deepEqual([commands["evalsha"], commands["eval"], roundTrips], [evalsha, undefined, 1]);
    });
  }

  for (const [path, commandCount, expected] of [
    ["/", 2, 1],
    ["/?sessions=true", 4, 3],
  ] as const) {
    test(`of GET ${path} is ${expected}: the session and its clock in one, the list of the user's sessions in two`, async () => {
      const { logIn } = await openApp();
      const { browser } = await logIn();
      await browser.get(path); // Redis has cached the scripts then
      const { commands, roundTrips } = await costOf(redis, () => browser.get(path));
      assert.deepEqual([commands["evalsha"], commands["eval"], roundTrips], [commandCount, undefined, expected]);
    });
  }

  test("of an ID that has not the shape of one is nothing", async () => {
    const { newBrowser } = await openApp();
    const browser = newBrowser("short");
    assert.deepEqual(await costOf(redis, () => browser.get("/session")), { commands: {}, roundTrips: 0 });
  });
});

type Send = (browser: Browser) => Promise<Reply>;
const increment: Send = (browser) => browser.post("/increment");
const incrementByForm: Send = (browser) => browser.post("/increment", {}, AS_FORM);
const read: Send = (browser) => browser.get("/session");
const peek: Send = (browser) => browser.get("/session?refresh=false");
const open: Send = (browser) => browser.get("/");
const changeTtl: Send = (browser) => browser.post("/ttl", { ttl: "100" });
const rotate: Send = (browser) => browser.post("/rotate");
const logOut: Send = (browser) => browser.post("/logout");
const others = [
  increment,
  read,
  changeTtl,
  incrementByForm,
  open,
  changeTtl,
  read,
  increment,
  peek,
  changeTtl,
  open,
  increment,
];

describe("many requests at once", () => {
  test("500 page views of one session all count", async () => {
    const { logIn } = await openApp();
    const { browser } = await logIn();
    const replies = await Promise.all(Array.from({ length: 500 }, () => browser.post("/increment")));
    const counts = replies.map(({ json }) => json.page_views!).toSorted((a, b) => a - b);
    assert.deepEqual(
      counts,
      Array.from({ length: 500 }, (_, i) => i + 2),
    );
    assert.equal((await browser.get("/session")).json.session?.["page_views"], "501");
  });

  test("a log-out ends the session whatever is under way, 300 times out of 300", async () => {
    const { logIn, keys, newBrowser } = await openApp();
    for (let round = 0; round < 300; round++) {
      const { id, key } = await logIn();
      const replies = await Promise.all(others.toSpliced(round % 13, 0, logOut).map((send) => send(newBrowser(id))));
      assert.deepEqual(
        replies.filter(({ status }) => ![200, 303, 401].includes(status)),
        [],
      );
      assert.equal(await redis.exists(key), 0, `round ${round}`);
    }
    assert.deepEqual(await keys(), []);
  });

  test("a log-out and a rotation at once leave no session or the rotated one, 100 times out of 100", async () => {
    const { logIn, keys, key, newBrowser } = await openApp();
    for (let round = 0; round < 100; round++) {
      const { id } = await logIn();
      const sends = [...others.slice(0, 4), rotate, ...others.slice(4, 8)].toSpliced(round % 10, 0, logOut);
      const replies = await Promise.all(sends.map((send) => send(newBrowser(id))));
      const rotated = replies[sends.indexOf(rotate)]!;
      const left = rotated.status === 200 ? [key(rotated.json.session_id!)] : [];
      assert.deepEqual(await keys(), left, `round ${round}`);
      await redis.del([...left, "none"]);
    }
  });

  test("of several rotations at once one wins, and one session is left", async () => {
    const { logIn, keys, key, newBrowser } = await openApp();
    const { id } = await logIn();
    const replies = await Promise.all(Array.from({ length: 12 }, () => rotate(newBrowser(id))));
    const winners = replies.filter(({ status }) => status === 200);
    assert.deepEqual([winners.length, replies.filter(({ status }) => status === 401).length], [1, 11]);
    assert.deepEqual(await keys(), [key(winners[0]!.json.session_id!)]);
  });
});
