import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "playwright/test";
import {
  expect,
  field,
  logInButton,
  marks,
  NO_REPLY,
  otherTtl,
  pauseClock,
  peeks,
  said,
  secondsLeft,
  test,
} from "./fixtures.ts";

type Fixtures = Pick<Parameters<Parameters<typeof test>[2]>[0], "page" | "context" | "url" | "redis" | "start">;

const STATES: Record<string, (fixtures: Fixtures) => Promise<unknown>> = {
  "no session": async ({ page }) => page.goto("/"),
  "a session": async ({ page, start }) => start(page),
  "an expired session": async ({ page, context, redis, start }) => {
    await start(page);
    await redis.expire(context, 3);
    await expect(said(page, "Session expired.")).toBeVisible();
  },
  "a session that another tab ended": async ({ page, context, start }) => {
    await start(page);
    const tab = await context.newPage();
    await tab.goto("/");
    await tab.getByRole("button", { name: "Log out" }).click();
    await expect(said(page, "Another tab logged out")).toBeVisible();
    await tab.close();
  },
  "thirty sessions of the user": async ({ page, url, start }) => {
    const body = new URLSearchParams({ username: "user-of-30" });
    for (let logIns = 0; logIns < 30; logIns += 1) await fetch(`${url}/login`, { method: "POST", body });
    await start(page, { username: "user-of-30" });
    await expect(page.getByText("These are the latest 20. There are more.")).toBeVisible();
  },
  "fields with markup, right-to-left text, and 4 KiB without a space": async ({ page, context, redis, start }) => {
    await start(page);
    await redis.write(context, "cart", "x".repeat(4096));
    await redis.write(context, "<i>", "<b>عبد الرحمن</b>");
    await expect(field(page, "<i>")).toHaveText("<b>عبد الرحمن</b>");
    expect((await field(page, "cart").boundingBox())!.height).toBeLessThan(100);
  },
  "what a click cost": async ({ page, start }) => {
    await start(page);
    await page.getByRole("button", { name: "Count a page view" }).click();
    await expect(field(page, "page_views")).toHaveText("2");
    await page.locator("#costs summary").first().click();
  },
  "a mistake": async ({ page, start }) => {
    await start(page);
    await (await otherTtl(page)).fill("0");
    await page.keyboard.press("Enter");
    await expect(said(page, "TTL must be a whole number greater than 0.")).toBeVisible();
  },
  "a session near its absolute timeout, read each second": async ({ page, start }) => {
    await start(page, { ttl: 300, absoluteTtl: 301 });
    await page.getByRole("checkbox").check();
    await expect(said(page, "Its absolute timeout comes before its idle timeout now")).toBeVisible();
  },
  "a race": async ({ page, start }) => {
    await start(page);
    await page.getByRole("button", { name: "Run the race" }).click();
    await expect(page.getByText("of 100 came back")).toHaveCount(3);
  },
  "Redis down": async ({ page, redis, start }) => {
    await start(page);
    redis.hang();
    await expect(said(page, "These buttons come back when it replies.")).toBeVisible();
  },
  "Redis down when the page was loaded": async ({ page, redis, start }) => {
    await start(page);
    redis.hang();
    await page.reload();
    await expect(page.getByRole("paragraph").filter({ hasText: "Redis cannot be used at the moment." })).toHaveCount(1);
  },
  "the script": async ({ page }) => page.goto("/script?operation=increment"),
  "an error": async ({ page }) => page.goto("/nothing-here"),
};
const MAX_WORDS = 350;

test.describe("every state of the page", () => {
  test.use({ expectedStatuses: [400, 404, 503], viewport: { width: 1280, height: 900 } });

  for (const [state, reach] of Object.entries(STATES)) {
    test(`has no accessibility violation, fits 320 pixels, and has few words in view: ${state}`, async ({
      page,
      context,
      url,
      redis,
      start,
    }) => {
      await reach({ page, context, url, redis, start });
      if (state !== "the script") expect(await wordsInView(page)).toBeLessThanOrEqual(MAX_WORDS);
      await expectNoViolation(page);
      await page.emulateMedia({ colorScheme: "dark" });
      await page.setViewportSize({ width: 320, height: 640 });
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
      await expectNoViolation(page);
      redis.resume();
    });
  }
});

/** How many words somebody sees without scrolling. */
async function wordsInView(page: Page): Promise<number> {
  return page.evaluate(() => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let words = 0;
    for (let text = texts.nextNode(); text; text = texts.nextNode()) {
      const range = document.createRange();
      range.selectNodeContents(text);
      const element = text.parentElement!;
      const isHidden = !element.checkVisibility() || element.closest(".visually-hidden") !== null;
      const isInView = Array.from(range.getClientRects()).some(
        ({ top, bottom, width }) => width > 1 && top < innerHeight && bottom > 0,
      );
      if (isInView && !isHidden) words += text.textContent!.match(/\S+/g)?.length ?? 0;
    }
    return words;
  });
}

test.describe("at 1280 by 900", () => {
  test.use({ viewport: { width: 1280, height: 900 } });

  test("shows all of a live session without scrolling", async ({ page, start }) => {
    await start(page);
    await page.getByRole("button", { name: "Count a page view" }).click();
    await expect(field(page, "page_views")).toHaveText("2");
    const parts = [
      page.getByText("sid="),
      page.getByRole("button", { name: /^Log out/ }),
      page.getByRole("row", { name: "session_deadline" }),
      page.getByText("Idle timeout", { exact: true }),
      page.getByText("Absolute timeout", { exact: true }),
      page.locator("#timeline > svg"),
      page.locator("#timeline .time").first(),
      page.locator(".strip"),
    ];
    for (const part of parts) await expect(part).toBeInViewport({ ratio: 1 });
  });

  test("starts both bars at the same place, and calls each by its name", async ({ page, start }) => {
    await start(page, { ttl: 30, absoluteTtl: 60 });
    const [idle, absolute] = await Promise.all(
      ["Idle timeout", "Absolute timeout"].map(async (name) => page.getByRole("progressbar", { name }).boundingBox()),
    );
    expect(idle!.x).toBe(absolute!.x);
    await expect.poll(() => secondsLeft(page, "Idle timeout")).toBeLessThan(30);
    expect(await secondsLeft(page, "Idle timeout")).toBeLessThan(31);
    expect(await secondsLeft(page, "Absolute timeout")).toBeGreaterThan(31);
  });
});

for (const width of [768, 991, 1024]) {
  test(`shows what the browser and what Redis holds side by side, and all of it, ${width} pixels wide`, async ({
    page,
    start,
  }) => {
    await page.setViewportSize({ width, height: 1000 });
    await start(page);
    const boxOf = (name: string) => page.getByRole("region", { name, exact: true }).boundingBox();
    const [browser, redis, clocks] = [await boxOf("Your browser"), await boxOf("Redis"), await boxOf("Time left")];
    expect(redis!.y).toBe(browser!.y);
    expect(redis!.x).toBeGreaterThan(browser!.x + browser!.width);
    expect([clocks!.x, clocks!.width]).toEqual([redis!.x, redis!.width]); // the foot of the same card
    expect(clocks!.y).toBeCloseTo(redis!.y + redis!.height, 0);
    const createdAt = await field(page, "created_at").boundingBox();
    expect(createdAt!.height).toBe((await field(page, "page_views").boundingBox())!.height); // in one line
  });
}

test.describe("on a phone", () => {
  test.use({ viewport: { width: 390, height: 800 } });

  test("keeps the countdown in view while somebody acts, and folds the cookie's attributes", async ({
    page,
    start,
  }) => {
    await start(page);
    for (const name of ["Count a page view", /^Log out/]) {
      await page.getByRole("button", { name }).hover();
      await expect(page.getByText("Idle timeout", { exact: true })).toBeInViewport({ ratio: 1 });
    }
    await expect(page.getByText("no script on a page can read it")).toBeHidden();
    await page.getByText("The cookie's attributes").click();
    await page.getByRole("button", { name: "Count a page view" }).click();
    await expect(field(page, "page_views")).toHaveText("2");
    await expect(page.getByText("no script on a page can read it")).toBeVisible();
  });
});

test.describe("under a finger", () => {
  test.use({ viewport: { width: 390, height: 800 }, hasTouch: true, isMobile: true });

  test("every control is 44 pixels high, and a mark of the timeline is reached from as far", async ({
    page,
    start,
  }) => {
    await start(page);
    await page.getByRole("button", { name: "Count a page view" }).tap();
    await expect(field(page, "page_views")).toHaveText("2");
    for (const closed of ["other", "POST /increment, then GET /", "The cookie's attributes"]) {
      await page.getByText(closed, { exact: true }).tap();
    }
    for (const control of await page.locator("a, button, summary, input:not([type='checkbox']), label.reads").all()) {
      if (await control.isVisible()) expect.soft((await control.boundingBox())!.height).toBeGreaterThanOrEqual(44);
    }
    const { x, y } = (await marks(page).first().locator("path").boundingBox())!;
    await page.touchscreen.tap(x - 18, y + 8); // 8 is half the height of the mark
    await expect(page.locator("#timeline .reading")).toHaveText(/^POST \/login: /);
  });
});

test.describe("a mistake in a form", () => {
  test.use({ expectedStatuses: [400] });

  test("is said beside its field, keeps what was typed, and harms nothing", async ({ page, start }) => {
    await start(page);
    const ttl = await otherTtl(page);
    await ttl.fill("99999999999");
    await page.getByRole("button", { name: "Set, in seconds" }).click();
    await expect(ttl).toHaveAttribute("aria-invalid", "true");
    await expect(ttl).toHaveAccessibleDescription("TTL must be at most 2592000 seconds.");
    await expect(ttl).toHaveValue("99999999999");
    await expect(page.getByRole("status")).toHaveText("TTL must be at most 2592000 seconds.");
    await expect(field(page, "session_ttl")).toHaveText("60");
  });
});

test("can be worked by keyboard alone", async ({ page }) => {
  await page.goto("/");
  await page.getByLabel("Username").focus();
  await page.keyboard.type("Ada");
  await page.keyboard.press("Enter");
  await expect(field(page, "username")).toHaveText("Ada");
  await tabTo(page, "Count a page view");
  await page.keyboard.press("Enter");
  await expect(field(page, "page_views")).toHaveText("2");
  await page.keyboard.press("Enter");
  await expect(field(page, "page_views")).toHaveText("3");
  await tabTo(page, "Log out");
  await page.keyboard.press("Space");
  await expect(said(page, "Logged out.")).toBeVisible();
});

test("says what happened to a screen reader, and does not chatter", async ({ page, context, redis, start }) => {
  await start(page, { ttl: 60 });
  const status = page.getByRole("status");
  await expect(status).toHaveText(/^Session started/);
  await status.evaluate((element) => {
    const count = () => element.setAttribute("data-changes", String(Number(element.getAttribute("data-changes")) + 1));
    new MutationObserver(count).observe(element, { childList: true, characterData: true, subtree: true });
  });
  await peeks(page, 2);
  await expect(status).not.toHaveAttribute("data-changes");
  await redis.write(context, "theme", "dark");
  await expect(field(page, "theme")).toHaveText("dark");
  await expect(status).not.toHaveAttribute("data-changes");
  await redis.remove(context);
  await expect(status).toHaveText(/^Session ended/);
});

test("marks what a click changed", async ({ page, start }) => {
  await start(page);
  await page.getByRole("button", { name: "Count a page view" }).click();
  await expect(page.getByRole("row", { name: "page_views" })).toHaveClass("changed");
  await expect(page.getByRole("row", { name: "username" })).not.toHaveClass("changed");
});

test("holds long, right-to-left and emoji names", async ({ page, start }) => {
  await page.setViewportSize({ width: 320, height: 640 });
  for (const username of ["W".repeat(40), "عبد الرحمن محمد الأندلسي القرطبي الطويل", "👩‍🚀".repeat(13)]) {
    await start(page, { username });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
    await page.getByRole("button", { name: "Log out" }).click();
    await expect(page.getByLabel("Username")).toBeVisible();
  }
});

test("loads less than 60 KB in all", async ({ page, context, start }) => {
  await start(page, { username: "weighed" }); // without sessions on other devices
  await page.getByRole("button", { name: "Count a page view" }).click();
  await expect(field(page, "page_views")).toHaveText("2");
  await page.close();
  const fresh = await context.newPage();
  const sizes = new Map<string, Promise<{ responseBodySize: number }>>();
  fresh.on("requestfinished", (request) => {
    if (request.resourceType() !== "fetch") sizes.set(request.url(), request.sizes());
  });
  await fresh.goto("/");
  await expect(marks(fresh)).toHaveCount(1);
  const loaded = await Promise.all(sizes.values());
  expect(loaded.length).toBeGreaterThanOrEqual(6); // the page, a style sheet, four scripts
  expect(loaded.reduce((sum, { responseBodySize }) => sum + responseBodySize, 0)).toBeLessThan(60_000);
});

test("asks nothing while it is hidden", async ({ page, start }) => {
  await page.clock.install();
  await start(page);
  await peeks(page, 1);
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { value: true, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  let requests = 0;
  page.on("request", () => (requests += 1));
  await page.clock.runFor(10_000);
  expect(requests).toBe(0);
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { value: false });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await expect.poll(() => requests).toBeGreaterThan(0);
});

test("leaves alone what somebody types while the page changes", async ({ page, context, redis, start }) => {
  await start(page);
  const ttl = await otherTtl(page);
  await ttl.press("End");
  await page.keyboard.type("00");
  await redis.write(context, "theme", "<dark>");
  await expect(field(page, "theme")).toHaveText("<dark>");
  await expect(ttl).toHaveValue("6000");
  await page.keyboard.press("Enter");
  await expect(field(page, "session_ttl")).toHaveText("6000");
});

test.describe("while Redis does not reply", () => {
  test.use({ expectedStatuses: [503] });

  test("greys what it does not know, stops the clocks, turns the buttons off, and comes back without a reload", async ({
    page,
    context,
    redis,
    start,
  }) => {
    await start(page, { ttl: 300 });
    await page.evaluate(() => Object.assign(globalThis, { isTheSamePage: true }));
    redis.hang();
    await expect(page.getByRole("alert")).toContainText("Redis cannot be used at the moment.");
    await expect(said(page, "Session started.")).toBeHidden();
    await expect(said(page, "These buttons come back when it replies.")).toBeVisible();
    await expect(page.getByRole("region", { name: "Time left" })).toContainText(/last known at \d\d:\d\d:\d\d UTC/);
    await expect(page.getByRole("region", { name: "Redis", exact: true })).toContainText("does not reply", {
      useInnerText: true,
    });
    for (const name of ["Count a page view", "Log out", "15 s", "Run the race"]) {
      await expect(page.getByRole("button", { name }).first()).toHaveAttribute("aria-disabled", "true");
    }
    const left = await secondsLeft(page);
    await page.getByRole("button", { name: "Count a page view" }).click({ force: true });
    await page.waitForResponse((response) => response.status() === 503);
    expect(await secondsLeft(page)).toBe(left);
    expect(await context.cookies()).toHaveLength(1);

    redis.resume();
    await expect(page.getByRole("alert")).toBeHidden();
    await expect(said(page, "Session started.")).toBeVisible();
    await page.getByRole("button", { name: "Count a page view" }).click();
    await expect(field(page, "page_views")).toHaveText("2");
    expect(await page.evaluate(() => "isTheSamePage" in globalThis)).toBe(true);
  });

  test("says after a click, and only then, that it may have taken effect", async ({ page, redis, start }) => {
    await page.route("**/session?*", () => {}); // else a peek may notice it before the click
    await start(page);
    redis.hang();
    await page.getByRole("button", { name: "Count a page view" }).click();
    await expect(page.getByRole("alert")).toContainText("not certain whether your last click took effect");
    redis.resume();
    await page.unroute("**/session?*");
    await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange"))); // peeks at once
    await expect(page.getByRole("alert")).toBeHidden();
    await expect(field(page, "page_views")).toHaveText(/[12]/);
  });

  test("shows on a page load the cookie, that nothing is known, and the session when Redis is back", async ({
    page,
    context,
    redis,
    start,
  }) => {
    await start(page);
    redis.hang();
    expect((await page.goto("/"))!.status()).toBe(503);
    const [cookie] = await context.cookies();
    await expect(page.getByRole("region", { name: "Your browser" })).toContainText(`sid=${cookie!.value}`);
    await expect(page.getByRole("region", { name: "Redis", exact: true })).toContainText("nothing is known");
    await expect(page.getByText("not certain")).toHaveCount(0);
    await expect(said(page, "This page comes back by itself")).toBeVisible();
    redis.resume();
    await expect(field(page, "username")).toHaveText("andrew");
    await expect(page.getByRole("heading", { name: "Let it expire" })).toBeVisible();
    await expect(page.getByRole("button", { name: "1. User logs in" })).toBeVisible();
    await expect(page.getByRole("alert")).toBeHidden();
  });

  test("does not call expired what Redis lost", async ({ page, context, redis, start }) => {
    await start(page, { ttl: 300 });
    redis.hang();
    await expect(page.getByRole("alert")).toBeVisible();
    const removed = redis.remove(context); // before the next peek
    redis.resume();
    await removed;
    await expect(said(page, "Session lost.")).toBeVisible();
    await expect(said(page, "expired")).toBeHidden();
    await expect(marks(page).last()).toHaveAccessibleName("The end: lost while Redis was unavailable, or deleted");
  });
});

test("does not claim after a log-out in another tab that this browser has the cookie", async ({
  page,
  context,
  start,
}) => {
  await start(page);
  const tab = await context.newPage();
  await tab.goto("/");
  await tab.getByRole("button", { name: "Log out" }).click();
  await expect(said(page, "This browser has no cookie any more")).toBeVisible();
  await expect(page.getByRole("region", { name: "Your browser" })).toContainText("has no cookie");
  await start(tab, { username: "second" });
  await expect(field(page, "username")).toHaveText("second");
});

test("does not go on to call it a deletion, if the log-out of another tab was noticed before its reply", async ({
  page,
  context,
  redis,
  start,
}) => {
  await start(page);
  await redis.remove(context);
  await expect(said(page, "Something deleted it before its time")).toBeVisible();
  const tab = await context.newPage();
  await tab.goto("/"); // clears the cookie, as a log-out does
  await tab.evaluate('new BroadcastChannel("sessions").postMessage("/logout")');
  await expect(said(page, "This browser has no cookie any more: another tab logged out")).toBeVisible();
  await expect(said(page, "Something deleted it before its time")).toBeHidden();
});

test("stops claiming the cookie of an expired session when another tab has cleared it", async ({
  page,
  context,
  redis,
  start,
}) => {
  await start(page);
  await redis.expire(context, 3);
  await expect(said(page, "Session expired.")).toBeVisible();
  await expect(page.getByRole("region", { name: "Your browser" })).toContainText("still has the cookie");
  await (await context.newPage()).goto("/");
  await expect(page.getByRole("region", { name: "Your browser" })).toContainText("has no cookie");
  await expect(said(page, "Session expired.")).toBeVisible();
});

test.describe("whatever the clock of the browser says", () => {
  test("counts down and tells the time by Redis' clock, also when it is set during the visit", async ({
    page,
    context,
    redis,
    start,
  }) => {
    await page.clock.install({ time: Date.now() - 3_600_000 });
    await start(page);
    await page.clock.setSystemTime(Date.now() + 7_200_000);
    await peeks(page, 1);
    const left = await redis.timeLeft(context);
    await expect.poll(async () => (await secondsLeft(page)) * 1000).toBeLessThanOrEqual(left + 1000);
    await redis.remove(context);
    await expect(said(page, "Session ended.")).toBeVisible();
    const shown = /at (\d\d):\d\d:\d\d UTC/.exec((await said(page, "Session ended.").locator("..").textContent())!)!;
    expect([new Date().getUTCHours(), new Date(Date.now() - 60_000).getUTCHours()]).toContain(Number(shown[1]));
  });

  test("does not say of a session that expired while the computer slept that something else ended it", async ({
    page,
    context,
    redis,
    start,
  }) => {
    await page.clock.install();
    await start(page, { ttl: 8 });
    await pauseClock(page);
    await expect.poll(() => redis.timeLeft(context)).toBeLessThan(0);
    await page.clock.resume();
    await expect(said(page, "while this page was not watching")).toBeVisible();
  });
});

async function expectNoViolation(page: Page): Promise<void> {
  const axe = new AxeBuilder({ page }).options({ resultTypes: ["violations"], selectors: false });
  // Else each analysis opens a page, to collect what it found in frames of other sites.
  const { violations } = await axe.setLegacyMode().analyze();
  expect(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([]);
}

async function tabTo(page: Page, name: string): Promise<void> {
  const button = page.getByRole("button", { name });
  for (let tabs = 0; tabs < 40; tabs += 1) {
    if (await button.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`Tab does not reach "${name}"`);
}

test("counts a double click once", async ({ page, start }) => {
  await start(page);
  const clicks: (() => void)[] = [];
  const clicked = new Promise<void>((resolve) => clicks.push(resolve));
  await page.route("**/increment", async (route) => {
    await clicked;
    await route.continue();
  });
  await page.getByRole("button", { name: "Count a page view" }).dblclick();
  for (const resolve of clicks) resolve();
  await expect(field(page, "page_views")).toHaveText("2");
  await page.reload();
  await expect(field(page, "page_views")).toHaveText("2");
});

test("sends no form that a log-in brought under a double click", async ({ page, redis, context }) => {
  await page.goto("/");
  await logInButton(page).click();
  await page.getByRole("button", { name: "Log out" }).hover();
  for (const half of ["down", "up"] as const) await page.mouse[half]({ clickCount: 2 });
  await page.getByRole("button", { name: "Count a page view" }).click();
  await expect(field(page, "page_views")).toHaveText("2");
  expect(await redis.timeLeft(context)).toBeGreaterThan(0);
});

test("ignores the reply to a peek that was sent before a click", async ({ page, start }) => {
  await start(page);
  const releases: (() => void)[] = [];
  const held = new Promise<void>((resolve) => releases.push(resolve));
  await page.route(
    (url) => url.pathname === "/session",
    async (route) => {
      const response = await route.fetch();
      await held;
      await route.fulfill({ response }).catch(() => {}); // given up by the page
    },
    { times: 1 },
  );
  await page.waitForRequest((request) => new URL(request.url()).pathname === "/session");
  await page.getByRole("button", { name: /^Get a new session ID/ }).click();
  await expect(said(page, "New session ID.")).toBeVisible();
  for (const release of releases) release();
  await peeks(page, 2);
  await expect(said(page, "New session ID.")).toBeVisible();
  await page.reload();
  await expect(field(page, "username")).toHaveText("andrew");
});

test("follows another tab to a new session and a new session ID", async ({ page, context, start }) => {
  await start(page, { username: "first" });
  const tab = await context.newPage();
  await tab.goto("/");
  await tab.getByRole("button", { name: /^Log out/ }).click();
  await expect(said(tab, "Logged out.")).toBeVisible();
  await expect(page.locator("#session")).not.toHaveAttribute("data-state", "live");
  await start(page, { username: "second" });
  await tab.reload();
  await tab.getByRole("button", { name: /^Get a new session ID/ }).click();
  await expect(said(tab, "New session ID.")).toBeVisible();
  const cookie = (await context.cookies()).find(({ name }) => name === "sid");
  await expect(page.getByRole("region", { name: "Your browser" })).toContainText(`sid=${cookie!.value}`);
});

test.describe("while the server is down", () => {
  test.use({ expectedStatuses: [NO_REPLY] });

  test("says so by itself", async ({ page, start }) => {
    await start(page);
    await page.route("**", (route) => route.abort());
    await expect(page.getByRole("alert")).toHaveText("The server does not answer. This page keeps trying.");
    await page.unroute("**");
    await expect(page.getByRole("alert")).toBeHidden();
  });
});
