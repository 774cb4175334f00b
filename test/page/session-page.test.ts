import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Browser } from "../browser.ts";
import { costOf } from "../command-statistics.ts";
import { openDemo } from "../demo-in-process.ts";

const { openApp, redis } = await openDemo();
const HTML = { accept: "text/html" };

async function shownPage(browser: Browser): Promise<string> {
  const { status, shown } = await browser.get("/", HTML);
  assert.equal(status, 200);
  return shown;
}

/** Sends a form and follows the redirect, as a click does. */
async function click(browser: Browser, path: string, form: Record<string, string> = {}): Promise<string> {
  const { status } = await browser.post(path, form, HTML);
  assert.equal(status, 303);
  return shownPage(browser);
}

const textsOf = (html: string, pattern: RegExp) => Array.from(html.matchAll(pattern), ([, text]) => text!);

function timeoutsOn(html: string) {
  const clocks = html.matchAll(/class="clock (\w+)[^"]*" data-left="(\d+)" data-of="(\d+)"/g);
  return Object.fromEntries(Array.from(clocks, ([, id, left, of]) => [id!, { left: Number(left), of: Number(of) }]));
}

function assertBetween(value: number, smallest: number, largest: number) {
  assert.ok(value > smallest && value <= largest, `${value} is not above ${smallest} and up to ${largest}`);
}

describe("the page's two timeouts", () => {
  test("are shown with the time that each has left", async () => {
    const { logIn } = await openApp({ absoluteTtl: 5000 });
    const { browser } = await logIn({ ttl: "600" });
    const { idle, absolute } = timeoutsOn(await shownPage(browser));
    assert.equal(idle!.of, 600_000);
    assertBetween(idle!.left, 300_000, 600_000);
    assertBetween(absolute!.left, 4_000_000, 5_001_000);
    assertBetween(absolute!.of, 4_990_000, 5_010_000);
  });

  test("are not confused when the absolute one comes first, which caps the key's expiry", async () => {
    const { logIn } = await openApp({ absoluteTtl: 5000 });
    const { browser, key } = await logIn({ ttl: "600" });
    const deadline = Math.floor(Date.now() / 1000) + 200;
    await redis.multi().hSet(key, "session_deadline", deadline).expireAt(key, deadline).exec();
    const { idle, absolute } = timeoutsOn(await shownPage(browser));
    assert.equal(idle!.of, 600_000);
    assertBetween(idle!.left, 300_000, 600_000);
    assertBetween(absolute!.left, 50_000, 201_000);
  });
});

describe("the page offers no TTL above the server's absolute timeout", () => {
  for (const [absoluteTtl, expected] of [
    [20, ["15"]],
    [60, ["15", "30", "60"]],
    [5000, ["15", "30", "60", "300", "1800"]],
  ] as const) {
    for (const [state, prepare] of [
      ["without a session", async () => {}],
      ["with a session", async (browser: Browser) => void (await browser.post("/login"))],
    ] as const) {
      test(`in its buttons and in its box: ${absoluteTtl} seconds, ${state}`, async () => {
        const { newBrowser } = await openApp({ absoluteTtl });
        const browser = newBrowser();
        await prepare(browser);
        const html = await shownPage(browser);
        assert.deepEqual(textsOf(html, /<button [^>]*name="ttl" value="(\d+)"/g), expected);
        const largest = state === "with a session" ? [String(absoluteTtl)] : [];
        assert.deepEqual(textsOf(html, /<input id="ttl"[^>]* max="(\d+)"/g), largest);
        const choices = textsOf(html, /type="radio" name="absolute_ttl"[^>]* value="(\d+)"/g).map(Number);
        assert.ok(choices.every((choice) => choice <= absoluteTtl) && new Set(choices).size === choices.length);
      });
    }
  }
});

function costsOn(html: string) {
  const [, list = ""] = /<ol id="costs">(.*?)<\/ol>/s.exec(html) ?? [];
  return {
    list,
    title: textsOf(list, /<summary><strong>(.*?)<\/strong>/g)[0],
    roundTrips: Number.parseInt(textsOf(list, /<span class="dim">(\d+ round trips?|nothing) to/g)[0] ?? "", 10),
    commands: textsOf(list, /<p class="command"><bdi>(.*?)<\/bdi>/g),
  };
}

const operationOf = (command: string) => command.split(" ")[1];

/** The cost that the page shows is without the list of the user's sessions, so this session has no user. */
async function logInWithoutUser() {
  const { browser, key } = await (await openApp()).logIn();
  await redis.hDel(key, "session_user");
  return browser;
}

describe("what a click cost", () => {
  for (const [path, form] of [
    ["/increment", {}],
    ["/ttl", { ttl: "30" }],
    ["/rotate", {}],
  ] as const) {
    test(`is as many round trips as Redis counts, with the page load after it: POST ${path}`, async () => {
      const browser = await logInWithoutUser();
      let html = "";
      const { roundTrips } = await costOf(redis, async () => (html = await click(browser, path, form)));
      const shown = costsOn(html);
      assert.deepEqual([shown.title, shown.roundTrips], [`POST ${path}, then GET /`, roundTrips]);
    });
  }

  test("is as many round trips as Redis counts when the page is only loaded", async () => {
    const browser = await logInWithoutUser();
    let html = "";
    const { roundTrips } = await costOf(redis, async () => (html = await shownPage(browser)));
    const shown = costsOn(html);
    assert.deepEqual([shown.title, shown.roundTrips], ["GET /", roundTrips]);
  });

  test("has no commands of requests of the same session that overlap", async () => {
    const { logIn } = await openApp();
    const { browser } = await logIn();
    const alone = costsOn(await shownPage(browser)).commands.map(operationOf);
    const noise = Array.from({ length: 50 }, () => browser.post("/increment"));
    const pages = await Promise.all([shownPage(browser), shownPage(browser), shownPage(browser)]);
    await Promise.all(noise);
    for (const html of pages) assert.deepEqual(costsOn(html).commands.map(operationOf), alone);
  });

  test("links each call of the script to the script, with the lines of that operation marked", async () => {
    const { logIn, newBrowser } = await openApp();
    const { browser } = await logIn();
    const { list } = costsOn(await click(browser, "/increment"));
    const links = textsOf(list, /<a href="(\/script[^"#]*)#marked"/g);
    assert.ok(links.length > 1, list);
    for (const link of links) {
      const { status, shown } = await newBrowser().get(link, HTML);
      assert.equal(status, 200);
      const [, script = ""] = /<pre[^>]*>(.*?)<\/pre>/s.exec(shown) ?? [];
      const [marked = ""] = textsOf(script, /<mark>(.*?)<\/mark>/gs);
      assert.match(marked, /\w/);
      const operation = new URLSearchParams(link.split("?")[1]).get("operation");
      assert.match(shown, new RegExp(`aria-current="page">${operation}</a>`));
    }
  });

  test("does not repeat what was typed, neither on the page nor in the cookie that takes it there", async () => {
    const { newBrowser } = await openApp();
    const browser = newBrowser();
    const username = "Grace Hopper";
    const { setCookies } = await browser.post("/login", { username }, HTML);
    const { list } = costsOn(await shownPage(browser));
    assert.match(list, /EVALSHA create/);
    assert.doesNotMatch(list, /Grace|Hopper/);
    const carried = setCookies.map((cookie) => Buffer.from(cookie.split(/[=;]/)[1]!, "base64url").toString());
    assert.ok(
      carried.some((text) => text.includes("EVALSHA create")),
      setCookies.join("\n"),
    );
    for (const text of [...carried, ...setCookies]) assert.doesNotMatch(text, /Grace|Hopper/);
  });
});

test("the files of the page are compressed for a client that accepts that", async () => {
  const { newBrowser } = await openApp();
  for (const [accepted, encoding] of [
    ["gzip, deflate, br", "gzip"],
    ["br;q=1, gzip;q=0.5", "gzip"],
    ["gzip;q=0", null],
    ["br", null],
  ] as const) {
    const { headers, text } = await newBrowser().get("/page.js", { "accept-encoding": accepted });
    assert.deepEqual([headers.get("content-encoding"), headers.get("vary")], [encoding, "Accept-Encoding"], accepted);
    assert.equal(text.includes("querySelector"), encoding === null); // the client of these tests decodes nothing
  }
});
