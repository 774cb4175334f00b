import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import type { Browser, Reply } from "../browser.ts";
import type { SessionSummary } from "../../demo/demo-store.ts";
import { openDemo } from "../demo-in-process.ts";

const { redis, openApp } = await openDemo();

const AS_FORM = { accept: "text/html,application/xhtml+xml;q=0.9" };
const SOME_HANDLE = "A".repeat(43);

const sessionsIn = ({ json }: Reply) => (json as { sessions: SessionSummary[] }).sessions;
const handleOf = (id: string) => createHash("sha256").update(id).digest("base64url");
const handlesOf = async (browser: Browser) => sessionsIn(await browser.get("/sessions")).map(({ handle }) => handle);
const PAGE_WITH_LIST = "/?sessions=true";
const isLive = async (browser: Browser) => (await browser.get("/session?refresh=false")).json.authenticated;

describe("GET /sessions", () => {
  test("lists this user's sessions, this one marked, and no ID", async () => {
    const { logIn } = await openApp();
    const phone = await logIn({ username: "andrew", ttl: "30" });
    const laptop = await logIn({ username: "andrew", ttl: "40" });
    await logIn({ username: "barbara" });
    const reply = await phone.browser.get("/sessions");
    assert.equal(reply.status, 200);
    assert.deepEqual(Object.keys(reply.json), ["sessions"]);
    const byHandle = new Map(sessionsIn(reply).map((device) => [device.handle, device]));
    assert.deepEqual(new Set(byHandle.keys()), new Set([handleOf(phone.id), handleOf(laptop.id)]));
    const { created_at, last_accessed_at } = await redis.hGetAll(phone.key);
    const { ttl, ...listed } = byHandle.get(handleOf(phone.id))!;
    const expected = { handle: handleOf(phone.id), current: true, device: "Unknown device" };
    assert.deepEqual(listed, { ...expected, created_at, last_accessed_at });
    assert.ok(ttl > 0 && ttl <= 30, String(ttl));
    assert.equal(byHandle.get(handleOf(laptop.id))!.current, false);
    for (const { id } of [phone, laptop]) assert.ok(!reply.text.includes(id));
  });

  test("names the browser that each session was started in", async () => {
    const { newBrowser } = await openApp();
    const browser = newBrowser();
    for (const [userAgent, device] of [
      ["Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0", "Firefox on Linux"],
      ["curl/8.14.1", "Unknown device"],
      ["x".repeat(10_000), "Unknown device"],
      ["", "Unknown device"],
    ] as const) {
      await browser.post("/login", {}, { "user-agent": userAgent });
      assert.equal(sessionsIn(await browser.get("/sessions"))[0]?.device, device);
    }
  });

  test("is empty where another program has written a user that the store cannot have", async () => {
    for (const user of ["", "x".repeat(257)]) {
      const { logIn } = await openApp();
      const { browser, key } = await logIn();
      await redis.hSet(key, "session_user", user);
      assert.deepEqual(sessionsIn(await browser.get("/sessions")), []);
      assert.equal((await browser.get(PAGE_WITH_LIST, AS_FORM)).status, 200);
      assert.deepEqual((await browser.post("/sessions/end-others")).json, { ended: 0 });
      assert.equal((await browser.post("/rotate")).status, 200);
    }
  });

  test("resets no idle timeout", async () => {
    const { logIn } = await openApp();
    const { browser, key } = await logIn({ ttl: "50" });
    await redis.expire(key, 20);
    const [device] = sessionsIn(await browser.get("/sessions"));
    assert.ok(device!.ttl <= 20);
    assert.ok((await redis.ttl(key)) <= 20);
  });

  test("lists sessions with the same name after spaces are trimmed, and tells names apart by their case", async () => {
    const { logIn } = await openApp();
    const { browser } = await logIn({ username: " andrew " });
    await logIn({ username: "andrew" });
    await logIn({ username: "Andrew" });
    assert.equal((await handlesOf(browser)).length, 2);
  });

  for (const username of ["x".repeat(40), "王小明".repeat(13), "😀".repeat(40), "{a}:b *?[x]", "session:user:x"]) {
    test(`works for the user ${username.slice(0, 20)}`, async () => {
      const { logIn } = await openApp();
      const { browser, id } = await logIn({ username });
      const other = await logIn({ username });
      assert.deepEqual(new Set(await handlesOf(browser)), new Set([handleOf(id), handleOf(other.id)]));
      assert.deepEqual((await browser.post("/sessions/end-others")).json, { ended: 1 });
    });
  }

  test("is empty for a session without a user, which another program wrote", async () => {
    const { logIn } = await openApp();
    const { browser, key } = await logIn();
    await redis.hDel(key, "session_user");
    assert.deepEqual((await browser.get("/sessions")).json, { sessions: [] });
    assert.deepEqual((await browser.post("/sessions/end-others")).json, { ended: 0 });
    assert.equal((await browser.post("/sessions/end", { handle: SOME_HANDLE })).status, 404);
    assert.equal((await browser.get("/", AS_FORM)).status, 200);
  });
});

describe("POST /sessions/end", () => {
  test("ends the session with the handle", async () => {
    const { logIn } = await openApp();
    const [mine, other] = [await logIn({ username: "andrew" }), await logIn({ username: "andrew" })];
    const { status, json } = await mine.browser.post("/sessions/end", { handle: handleOf(other.id) });
    assert.deepEqual([status, json], [200, { ended: 1 }]);
    assert.equal(await isLive(other.browser), false);
    assert.deepEqual(await handlesOf(mine.browser), [handleOf(mine.id)]);
    assert.equal((await other.browser.post("/increment")).json.error, "Session expired");
  });

  test("may end this session itself", async () => {
    const { logIn } = await openApp();
    const { browser, id } = await logIn();
    assert.deepEqual((await browser.post("/sessions/end", { handle: handleOf(id) })).json, { ended: 1 });
    assert.equal(await isLive(browser), false);
  });

  const gone: [what: string, form: Record<string, string>][] = [
    ["a handle of nobody", { handle: SOME_HANDLE }],
    ["a handle of another shape", { handle: "../x" }],
    ["an empty handle", { handle: "" }],
    ["no handle", {}],
  ];
  for (const [what, form] of gone) {
    test(`is a 404 for ${what}, and ends nothing`, async () => {
      const { logIn, keys } = await openApp();
      const { browser } = await logIn();
      await logIn();
      const { status, json } = await browser.post("/sessions/end", form);
      assert.deepEqual([status, json], [404, { error: "You have no such session" }]);
      assert.equal((await keys()).length, 2);
    });
  }

  test("is a 404 for another user's session, for an ID, and for a session that is gone", async () => {
    const { logIn } = await openApp();
    const { browser } = await logIn({ username: "andrew" });
    const hers = await logIn({ username: "barbara" });
    assert.equal((await browser.post("/sessions/end", { handle: handleOf(hers.id) })).status, 404);
    assert.equal((await hers.browser.post("/sessions/end", { handle: hers.id })).status, 404);
    assert.equal(await isLive(hers.browser), true);
    await hers.browser.post("/logout");
    const again = await logIn({ username: "barbara" });
    assert.equal((await again.browser.post("/sessions/end", { handle: handleOf(hers.id) })).status, 404);
  });
});

describe("POST /sessions/end-others", () => {
  test("ends all sessions of this user but this one", async () => {
    const { logIn } = await openApp();
    const mine = await logIn({ username: "andrew" });
    const others = [await logIn({ username: "andrew" }), await logIn({ username: "andrew" })];
    const hers = await logIn({ username: "barbara" });
    const { status, json } = await mine.browser.post("/sessions/end-others");
    assert.deepEqual([status, json], [200, { ended: 2 }]);
    for (const { browser } of others) assert.equal(await isLive(browser), false);
    for (const { browser } of [mine, hers]) assert.equal(await isLive(browser), true);
    assert.deepEqual((await mine.browser.post("/sessions/end-others")).json, { ended: 0 });
  });

  test("keeps the session under its new ID, after a rotation", async () => {
    const { logIn } = await openApp();
    const mine = await logIn({ username: "andrew" });
    await logIn({ username: "andrew" });
    await mine.browser.post("/rotate");
    assert.deepEqual((await mine.browser.post("/sessions/end-others")).json, { ended: 1 });
    assert.equal(await isLive(mine.browser), true);
  });
});

describe("the routes of the list", () => {
  const routes: [name: string, send: (browser: Browser, headers?: Record<string, string>) => Promise<Reply>][] = [
    ["GET /sessions", (browser, headers) => browser.get("/sessions", headers)],
    ["POST /sessions/end", (browser, headers) => browser.post("/sessions/end", { handle: SOME_HANDLE }, headers)],
    ["POST /sessions/end-others", (browser, headers) => browser.post("/sessions/end-others", {}, headers)],
  ];
  for (const [name, send] of routes) {
    test(`${name} is a 401 without a session and with a dead one`, async () => {
      const { logIn, newBrowser } = await openApp();
      const without = await send(newBrowser());
      assert.deepEqual([without.status, without.json], [401, { error: "No active session" }]);
      const { browser, key } = await logIn();
      await redis.del(key);
      const dead = await send(browser);
      assert.deepEqual([dead.status, dead.json], [401, { error: "Session expired" }]);
      assert.deepEqual(dead.setCookies, []);
    });
  }
});

describe("GET /session?sessions=true", () => {
  test("lists the sessions along with the session, and resets no idle timeout in a peek", async () => {
    const { logIn } = await openApp();
    const { browser, key, id } = await logIn({ username: "andrew", ttl: "50" });
    const other = await logIn({ username: "andrew" });
    await redis.expire(key, 20);
    const reply = await browser.get("/session?refresh=false&sessions=true");
    assert.deepEqual([reply.json.session_id, reply.json.session?.["username"]], [id, "andrew"]);
    assert.deepEqual(
      new Set(sessionsIn(reply).map(({ handle }) => handle)),
      new Set([handleOf(id), handleOf(other.id)]),
    );
    assert.ok((await redis.ttl(key)) <= 20);
  });

  test("lists nothing without a session", async () => {
    const { newBrowser } = await openApp();
    const { json } = await newBrowser().get("/session?sessions=true");
    assert.deepEqual(json, { authenticated: false, session: null });
  });
});

describe("the list on the page", () => {
  test("shows each session of the user with its handle and never an ID, and a button for each but this one", async () => {
    const { logIn } = await openApp();
    const mine = await logIn({ username: "andrew" });
    const other = await logIn({ username: "andrew" });
    const { shown } = await mine.browser.get(PAGE_WITH_LIST, AS_FORM);
    for (const { id } of [mine, other]) assert.ok(shown.includes(`data-handle="${handleOf(id)}"`));
    assert.ok(!shown.includes(other.id));
    assert.ok(!shown.includes(`value="${handleOf(mine.id)}"`));
    assert.ok(shown.includes(`value="${handleOf(other.id)}"`));
    assert.match(shown, /action="\/sessions\/end-others"/);
  });

  test("is read only on request, and the page has a link to it", async () => {
    const { logIn } = await openApp();
    const { browser } = await logIn({ username: "andrew" });
    const { shown } = await browser.get("/", AS_FORM);
    assert.doesNotMatch(shown, /data-handle/);
    assert.ok(shown.includes(`href="${PAGE_WITH_LIST}#devices"`));
  });

  test("shows the latest twenty of many, as GET /session?sessions=true does, and says so", async () => {
    const { logIn } = await openApp();
    const { browser } = await logIn({ username: "andrew" });
    for (let i = 0; i < 25; i++) await logIn({ username: "andrew" });
    const { shown } = await browser.get(PAGE_WITH_LIST, AS_FORM);
    assert.equal(shown.split("data-handle=").length - 1, 20);
    assert.match(shown, /These are the latest 20/);
    assert.equal(sessionsIn(await browser.get("/session?refresh=false&sessions=true")).length, 20);
    assert.equal((await handlesOf(browser)).length, 26);
    assert.deepEqual((await browser.post("/sessions/end-others")).json, { ended: 25 });
  });

  test("a user has at most 100 sessions: one more log-in ends the one with the earliest deadline", async () => {
    const { logIn } = await openApp();
    const first = await logIn({ username: "andrew", absolute_ttl: "600" });
    const second = await logIn({ username: "andrew" });
    for (let i = 0; i < 99; i++) await logIn({ username: "andrew" });
    assert.equal(await isLive(first.browser), false);
    assert.equal((await handlesOf(second.browser)).length, 100);
  });

  test("has no button to end others where there are none, and is not there without a session", async () => {
    const { logIn, newBrowser } = await openApp();
    const { browser } = await logIn();
    assert.doesNotMatch((await browser.get(PAGE_WITH_LIST, AS_FORM)).shown, /sessions\/end/);
    assert.doesNotMatch((await newBrowser().get(PAGE_WITH_LIST, AS_FORM)).shown, /id="devices"/);
  });

  test("ends a session by a form, which leads back to the page and says so once", async () => {
    const { logIn } = await openApp();
    const mine = await logIn({ username: "andrew" });
    const other = await logIn({ username: "andrew" });
    const { status, headers } = await mine.browser.post("/sessions/end", { handle: handleOf(other.id) }, AS_FORM);
    assert.deepEqual([status, headers.get("location")], [303, `${PAGE_WITH_LIST}#devices`]);
    assert.equal(await isLive(other.browser), false);
    assert.match((await mine.browser.get("/", AS_FORM)).shown, /The session is ended/);
    assert.doesNotMatch((await mine.browser.get("/", AS_FORM)).shown, /The session is ended/);
  });

  test("ends all others by a form", async () => {
    const { logIn } = await openApp();
    const mine = await logIn({ username: "andrew" });
    const other = await logIn({ username: "andrew" });
    assert.equal((await mine.browser.post("/sessions/end-others", {}, AS_FORM)).status, 303);
    assert.equal(await isLive(other.browser), false);
    assert.match((await mine.browser.get("/", AS_FORM)).shown, /All your other sessions are ended/);
  });

  test("shows the mistake in place where the session is gone, with its status", async () => {
    const { logIn } = await openApp();
    const { browser } = await logIn();
    const { status, shown } = await browser.post("/sessions/end", { handle: SOME_HANDLE }, AS_FORM);
    assert.equal(status, 404);
    assert.match(shown, /You have no such session/);
    assert.match(shown, /id="devices"/);
  });

  test("tells the ended browser that its session ended", async () => {
    const { logIn } = await openApp();
    const mine = await logIn({ username: "andrew" });
    const other = await logIn({ username: "andrew" });
    await mine.browser.post("/sessions/end-others");
    const { status, shown } = await other.browser.get("/", AS_FORM);
    assert.equal(status, 200);
    assert.match(shown, /Session ended/);
  });

  test("says that Redis cannot list the sessions, and shows the session", async () => {
    const { logIn } = await openApp();
    const { browser, key, id } = await logIn({ username: "andrew" });
    const indexKey = `${key.slice(0, -id.length)}user:${handleOf("andrew")}`;
    await redis.set(indexKey, "text", { expiration: { type: "EX", value: 60 } });
    const { status, shown } = await browser.get(PAGE_WITH_LIST, AS_FORM);
    assert.equal(status, 200);
    assert.match(shown, /Redis cannot list them/);
    assert.match(shown, /data-state="live"/);
    for (const reply of [await browser.get("/sessions"), await browser.post("/sessions/end-others")]) {
      assert.deepEqual([reply.status, reply.headers.get("retry-after")], [503, "1"]);
    }
  });
});

test("a log-in while all sessions of the user are ended is a 409 or a live session, and never a dead cookie", async () => {
  const { logIn, newBrowser } = await openApp();
  const mine = await logIn({ username: "andrew" });
  let refused = 0;
  for (let round = 0; round < 100; round++) {
    const [reply] = await Promise.all([
      newBrowser().post("/login", { username: "andrew" }),
      mine.browser.post("/sessions/end-others"),
    ]);
    assert.ok([200, 409].includes(reply.status), reply.text);
    if (reply.status === 409) {
      refused += 1;
      assert.deepEqual(reply.setCookies, []);
      assert.deepEqual(reply.json, { error: "Your sessions were ended while you logged in. Log in again." });
    }
  }
  assert.equal(await isLive(mine.browser), true);
});
