/** The Next example, as `npm test -- --scale` has installed and built it: see `prepareNext` in scripts/test.mjs. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { chromium } from "playwright";
import { findBrowser } from "../../scripts/find-browser.mjs";
import { DURABLE, spawnRedis } from "../redis-process.ts";
import { until } from "../wait.ts";
import { NextBrowser, readPage, spawnNext } from "./next-browser.ts";

const ANDREW = { username: "andrew", password: "secret" };
const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const COOKIE = "__Host-sid";

const redis = await spawnRedis({ after }, DURABLE);
const url = await spawnNext({ after }, "examples/next", redis);
const newBrowser = () => new NextBrowser(url);
const logIn = async () => {
  const browser = newBrowser();
  await browser.submit("Log in", ANDREW);
  return browser;
};

describe("the example for Next, without JavaScript in the browser", () => {
  test("a visitor who does nothing gets no cookie, and no page is cached", async () => {
    const browser = newBrowser();
    const reply = await browser.get("/");
    assert.deepEqual(readPage(reply), {
      status: 200,
      username: undefined,
      cartItems: 0,
      devices: [],
      alert: undefined,
    });
    assert.match(reply.headers.get("cache-control") ?? "", /no-store/);
    assert.equal(browser.cookies.size, 0);
  });

  test("a visitor has a cart, a log-in keeps it under a new session ID, and a log-out ends the session", async () => {
    const browser = newBrowser();
    await browser.submit("Add an item");
    assert.equal((await browser.submit("Add an item")).cartItems, 2);
    const visitorId = browser.sessionId;
    const { username, cartItems } = await browser.submit("Log in", ANDREW);
    assert.deepEqual([username, cartItems], ["andrew", 2]);
    assert.notEqual(browser.sessionId, visitorId);
    assert.equal((await withSession(visitorId).open()).cartItems, 0);
    const id = browser.sessionId;
    assert.equal((await browser.submit("Log out")).username, undefined);
    assert.equal(browser.cookies.size, 0);
    assert.equal((await withSession(id).open()).username, undefined);
  });

  test("the cookie is bound to this host and HTTPS, and scripts cannot read it", async () => {
    const browser = newBrowser();
    const { setCookies } = await browser.send("/", await browser.fillIn("Log in", ANDREW));
    assert.match(setCookies.join("\n"), /^__Host-sid=[\w-]{43}; Path=\/; Secure; HttpOnly; SameSite=lax$/);
  });

  test("a wrong password sets no cookie", async () => {
    const browser = newBrowser();
    const { alert } = await browser.submit("Log in", { ...ANDREW, password: "wrong" });
    assert.equal(alert, "Wrong username or password.");
    assert.equal(browser.cookies.size, 0);
  });

  test("the cookie of a dead session is cleared when it is in the way, and by no page load", async () => {
    const browser = withSession("x".repeat(43));
    assert.equal((await browser.open()).username, undefined);
    assert.equal(browser.cookies.size, 1);
    assert.equal((await browser.submit("Add an item")).cartItems, 0);
    assert.equal(browser.cookies.size, 0);
    assert.equal((await browser.submit("Add an item")).cartItems, 1);
  });

  test("an action that another site's page sent is refused before it changes anything", async () => {
    const browser = await logIn();
    for (const origin of ["https://example.com", "null", `${url}1`]) {
      const forged = await browser.send("/", await browser.fillIn("Log out", {}, { origin }));
      assert.deepEqual([forged.status, forged.setCookies], [500, []]);
      const stranger = newBrowser();
      const logInForged = await stranger.send("/", await stranger.fillIn("Log in", ANDREW, { origin }));
      assert.deepEqual([logInForged.status, logInForged.setCookies], [500, []]);
    }
    assert.equal((await browser.open()).username, "andrew");
    const own = await browser.send("/", await browser.fillIn("Log out", {}, { origin: url }));
    assert.equal(own.status, 303);
    assert.equal(browser.cookies.size, 0);
  });

  test("a form of over 100 KB is refused", async () => {
    const browser = newBrowser();
    const long = await browser.send("/", await browser.fillIn("Log in", { ...ANDREW, more: "x".repeat(110_000) }));
    assert.ok([413, 500].includes(long.status), `got ${long.status}`);
    assert.deepEqual(long.setCookies, []);
  });

  test("a user sees the browsers of all sessions, and ends all others", async () => {
    const user = { username: "devices", password: "secret" };
    const [browser, other] = [newBrowser(), newBrowser()];
    await other.submit("Log in", user);
    await browser.send("/", await browser.fillIn("Log in", user, { "user-agent": FIREFOX }));
    const { devices } = await browser.open();
    assert.deepEqual(devices.toSorted(), ["Firefox on Linux", "Unknown device"]);
    assert.deepEqual((await browser.submit("End all other sessions")).devices, ["Firefox on Linux"]);
    assert.equal((await other.open()).username, undefined);
  });

  const outages: Record<string, { begin: () => unknown; end: () => unknown }> = {
    killed: { begin: redis.kill, end: redis.start },
    hung: { begin: redis.hang, end: redis.resume },
  };
  for (const [state, { begin, end }] of Object.entries(outages)) {
    test(`while Redis is ${state}, pages fail and actions say so, and afterwards everybody is still logged in`, async () => {
      const browser = await logIn();
      const stranger = newBrowser();
      const requests = [
        await browser.fillIn("Add an item"),
        await browser.fillIn("Log out"),
        await stranger.fillIn("Log in", ANDREW),
      ];
      await begin();
      const page = await browser.get("/");
      assert.deepEqual([page.status, page.setCookies], [500, []]);
      for (const [index, request] of requests.entries()) {
        const { status, setCookies, text } = await (index < 2 ? browser : stranger).send("/", request);
        assert.ok(status !== 303 && setCookies.length === 0, `got ${status} ${setCookies.join()}`);
        if (status === 200) assert.match(text, /Try again shortly\./);
      }
      await end();
      assert.ok(await until(async () => (await browser.open()).status === 200), "The example does not recover");
      assert.equal((await browser.open()).username, "andrew");
    });
  }
});

test("in a browser with JavaScript, the session reaches a client component, which counts down", async (t) => {
  const chrome = await chromium.launch(findBrowser() ?? {});
  t.after(() => chrome.close());
  const page = await (await chrome.newContext()).newPage();
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));

  await page.goto(url);
  await page.getByLabel("Username").fill("andrew");
  await page.getByLabel("Password").fill("secret");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { name: "andrew" }).waitFor();
  await page.getByText(/Unless you use it, the session ends in 17\d\d seconds\./).waitFor();
  await page.getByText(/Chrome on Linux, since .+ \(this browser\)/).waitFor();
  const cookies = await page.context().cookies();
  assert.deepEqual(
    cookies.map(({ name, httpOnly, secure, sameSite }) => ({ name, httpOnly, secure, sameSite })),
    [{ name: COOKIE, httpOnly: true, secure: true, sameSite: "Lax" }],
  );
  assert.ok(!(await page.content()).includes(cookies[0]!.value), "The page contains the session ID");
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("heading", { name: "Guest" }).waitFor();
  assert.deepEqual(await page.context().cookies(), []);
  assert.deepEqual(problems, []);
});

function withSession(id: string): NextBrowser {
  const browser = newBrowser();
  browser.cookies.set(COOKIE, id);
  return browser;
}
