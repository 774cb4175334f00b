import type { Page, Request } from "playwright/test";
import { expect, field, logInButton, marks, pauseClock, peeks, said, secondsLeft, test } from "./fixtures.ts";

/** The points of the TTL's line, newest session, in pixels. */
const pointsOf = (page: Page) =>
  page
    .locator("#timeline polyline.line")
    .last()
    .evaluate((line) => Array.from((line as SVGPolylineElement).points, ({ x, y }) => ({ x, y })));

/** What the page shows at one moment: the countdown, and in milliseconds its bar and the end of the line. */
async function shownTimeLeft(page: Page, idleTimeout: number) {
  return page.locator("#session").evaluate((session, timeout) => {
    const svg = session.querySelector("#timeline > svg")!;
    const level = Number(svg.querySelector(".level")!.getAttribute("y1")); // the dotted line is at the timeout
    const line = Array.from(svg.querySelectorAll<SVGPolylineElement>(".line")).at(-1)!;
    const { y } = Array.from(line.points).at(-1)!;
    const { value: countdown } = session.querySelector<HTMLProgressElement>(".idle progress")!;
    const text = session.querySelector(".idle .left")!.textContent;
    return { text, countdown, drawn: ((svg.clientHeight - y) / (svg.clientHeight - level)) * timeout };
  }, idleTimeout);
}

test.describe("with motion", () => {
  test.use({ contextOptions: { reducedMotion: "no-preference" } });

  test("counts down and draws the TTL as Redis has it, to a quarter of a second", async ({
    page,
    context,
    redis,
    start,
  }) => {
    await start(page, { ttl: 60 });
    const furthestOff = async () => {
      const before = await redis.timeLeft(context);
      const { text, countdown, drawn } = await shownTimeLeft(page, 60_000);
      const after = await redis.timeLeft(context);
      expect(text).toBe(`${Math.ceil(countdown / 1000)} s`);
      return Math.max(...[countdown, drawn].flatMap((shown) => [shown - before, after - shown]));
    };
    for (let round = 0; round < 3; round += 1) {
      await expect.poll(furthestOff).toBeLessThan(250);
      await page.getByRole("button", { name: "Count a page view" }).click();
      await peeks(page, 1);
    }
  });

  test("shows the end when it comes, not at the next peek", async ({ page, context, redis, start }) => {
    await page.clock.install();
    await start(page);
    await redis.expire(context, 29.5); // so that the end does not fall on the second at which a peek is due
    await expect.poll(() => secondsLeft(page)).toBeLessThan(30);
    const session = (await (await page.request.get("/session?refresh=false")).json()) as object;
    let left = await secondsLeft(page);
    const underWay = new Set<Request>();
    page.on("requestfinished", (request) => underWay.delete(request));
    await page.route(
      (url) => url.pathname === "/session",
      (route) => {
        underWay.add(route.request());
        return route.fulfill({
          json: left > 0 ? { ...session, ttl: Math.ceil(left) } : { authenticated: false, session: null },
        });
      },
    );
    await pauseClock(page);
    for (; left > 0; left = await secondsLeft(page)) {
      await page.clock.runFor(left > 2 ? 1000 : 100);
      await expect.poll(() => underWay.size, { intervals: [10] }).toBe(0); // The clock must not run ahead of the replies.
    }
    await page.clock.runFor(200);
    await expect(said(page, "Session expired.")).toBeVisible();
  });
});

test("is lifted by each use, and not by a peek", async ({ page, start }) => {
  await start(page);
  await peeks(page, 2);
  await expect(page.locator(".mark.peek")).not.toHaveCount(0);
  const before = await pointsOf(page);
  expect(before.every(({ y }, index) => index === 0 || y >= before[index - 1]!.y)).toBe(true);
  await page.getByRole("button", { name: "Count a page view" }).click();
  await expect(marks(page)).toHaveCount(2);
  const after = await pointsOf(page);
  expect(after.some(({ y }, index) => index > 0 && y < after[index - 1]!.y)).toBe(true);
});

test("names the request of a mark that is pointed at or focused", async ({ page, start }) => {
  await start(page);
  await peeks(page, 2);
  await page.getByRole("button", { name: "Count a page view" }).click();
  await peeks(page, 2);
  await page.getByRole("button", { name: /^Get a new session ID/ }).click();
  await expect(marks(page)).toHaveCount(3);
  const reading = page.locator("#timeline .reading");
  await marks(page).last().hover();
  await expect(reading).toHaveText("POST /rotate: a new session ID, TTL 60 s");
  await page.mouse.move(0, 0);
  await expect(reading).toBeHidden();

  await page.getByRole("button", { name: "Log out" }).focus();
  await page.keyboard.press("Tab");
  await expect(reading).toHaveText("POST /rotate: a new session ID, TTL 60 s");
  await page.keyboard.press("ArrowLeft");
  await expect(reading).toHaveText("POST /increment: the idle timeout is reset, TTL 60 s");
  await peeks(page, 2);
  await expect(marks(page).nth(1)).toBeFocused();
  await page.keyboard.press("ArrowRight");
  await expect(marks(page).nth(2)).toBeFocused();
});

test("says in words what it shows", async ({ page, start }) => {
  await start(page, { ttl: 30 });
  await page.getByRole("button", { name: "15 s" }).click();
  await expect(page.getByRole("group", { name: "Timeline" })).toHaveAccessibleDescription(
    "What happened: POST /login: the session starts, TTL 30 s; POST /ttl: the idle timeout is now 15 s.",
  );
});

test("has a key of what is in the picture, and of nothing else", async ({ page, start }) => {
  const key = (text: string) => page.locator("#timeline .legend").getByText(text, { exact: true });
  await start(page);
  await expect(key("start")).toBeVisible();
  await expect(key("if not used")).toBeVisible();
  await expect(key("peek by this page: no reset")).toBeVisible();
  for (const absent of ["idle timeout reset", "new session ID", "end"]) await expect(key(absent)).toBeHidden();
  await peeks(page, 2);
  await page.getByRole("button", { name: "Count a page view" }).click();
  await expect(key("idle timeout reset")).toBeVisible();
  await page.getByRole("button", { name: /^Get a new session ID/ }).click();
  await expect(key("new session ID")).toBeVisible();
  await page.getByRole("button", { name: "Log out" }).click();
  await expect(key("end")).toBeVisible();
  await expect(key("if not used")).toBeHidden();
});

test("keeps its height while a mark is read", async ({ page, start }) => {
  await start(page);
  await expect(marks(page)).toHaveCount(1);
  const figure = page.locator("#timeline");
  const { height } = (await figure.boundingBox())!;
  await marks(page).last().hover();
  await expect(page.locator("#timeline .reading")).toBeVisible();
  expect((await figure.boundingBox())!.height).toBe(height);
});

test("says each thing once that it says several times in a row", async ({ page, start }) => {
  await start(page, { ttl: 60 });
  await page.getByRole("checkbox").check();
  await expect(marks(page).nth(4)).toBeAttached();
  const statements = (await page.locator("#timeline .summary").textContent())!.split("; ");
  expect(statements.length).toBeGreaterThan(1);
  expect(statements.filter((each, index) => each === statements[index - 1])).toEqual([]);
});

test("keeps its history when the page changes, also while the page is hidden", async ({
  page,
  context,
  redis,
  start,
}) => {
  await start(page);
  await redis.write(context, "theme", "dark");
  await expect(field(page, "theme")).toHaveText("dark");
  await setHidden(page, true);
  await setHidden(page, false);
  await peeks(page, 1);
  await page.getByRole("button", { name: "Log out" }).click();
  await expect(said(page, "Logged out.")).toBeVisible();
  await expect(marks(page)).toHaveCount(2);
  await expect(marks(page).last()).toHaveAccessibleName("The end: POST /logout");
  await start2(page);
  await expect(marks(page)).toHaveCount(3);
});

/** Logs in again on the page as it is. */
async function start2(page: Page): Promise<void> {
  await logInButton(page).click();
  await expect(said(page, "Session started.")).toBeVisible();
}

test("is capped by the absolute timeout, which ends the session", async ({ page, context, redis, start }) => {
  await start(page, { ttl: 60, absoluteTtl: 60 });
  await expect(page.locator("#timeline polyline.ceiling")).not.toHaveCount(0);
  await expect.poll(() => secondsLeft(page, "Absolute timeout")).toBeLessThan(58.5);
  await page.getByRole("button", { name: "Count a page view" }).click();
  await expect(said(page, "no use moves that")).toBeVisible();
  await expect(marks(page).last()).toHaveAccessibleName(/^POST \/increment: .*; the absolute timeout comes first$/);
  expect(await secondsLeft(page, "Idle timeout")).toBeGreaterThan(await secondsLeft(page, "Absolute timeout"));
  await redis.endIn(context, 2);
  await page.getByRole("button", { name: "Count a page view" }).click();
  await expect(said(page, "Its absolute timeout was reached")).toBeVisible();
  await expect(marks(page).last()).toHaveAccessibleName("The end: the absolute timeout");
});

test("names the absolute timeout also while the session is read each second", async ({
  page,
  context,
  redis,
  start,
}) => {
  await start(page);
  await page.getByRole("checkbox").check();
  await redis.endIn(context, 2);
  await expect(said(page, "Its absolute timeout was reached")).toBeVisible();
  await expect(marks(page).last()).toHaveAccessibleName("The end: the absolute timeout");
});

test("follows an expiry that was moved elsewhere, and marks it", async ({ page, context, redis, start }) => {
  await start(page, { ttl: 60 });
  await redis.expire(context, 20);
  await expect.poll(() => secondsLeft(page, "Idle timeout")).toBeLessThan(21);
  await expect(marks(page).last()).toHaveAccessibleName(/something else than this page moved the TTL/);
});

test("does not say that a timeout ended what something else ended", async ({ page, context, redis, start }) => {
  await start(page);
  await redis.remove(context);
  await expect(said(page, "Something deleted it before its time")).toBeVisible();
  await expect(marks(page).last()).toHaveAccessibleName("The end: something else than a timeout, before its time");
});

test("does not claim to know an end that came while the page was hidden", async ({ page, context, redis, start }) => {
  await start(page, { ttl: 5 });
  await setHidden(page, true);
  await expect.poll(() => redis.timeLeft(context)).toBeLessThan(0);
  await setHidden(page, false);
  await expect(said(page, "It expired or was deleted while this page was not watching.")).toBeVisible();
  await expect(marks(page).last()).toHaveAccessibleName("The end: while this page was not watching");
});

for (const [reducedMotion, often, least, most] of [
  ["reduce", "once a second", 4, 20], // some more for peeks
  ["no-preference", "ten times a second", 40, 60],
] as const) {
  test.describe(`where the user's preference for motion is ${reducedMotion}`, () => {
    test.use({ contextOptions: { reducedMotion } });

    test(`draws the timeline ${often}`, async ({ page, start }) => {
      await page.clock.install();
      await start(page);
      await pauseClock(page);
      const picture = page.locator("#timeline svg g").first();
      await picture.evaluate((element) => {
        const count = () =>
          element.setAttribute("data-drawings", String(Number(element.getAttribute("data-drawings")) + 1));
        new MutationObserver(count).observe(element, { childList: true });
      });
      for (let second = 0; second < 4; second += 1) await page.clock.runFor(1000);
      const drawings = Number(await picture.getAttribute("data-drawings"));
      expect(drawings).toBeGreaterThanOrEqual(least);
      expect(drawings).toBeLessThan(most);
    });
  });
}

async function setHidden(page: Page, isHidden: boolean): Promise<void> {
  await page.evaluate((value) => {
    Object.defineProperty(document, "hidden", { value, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, isHidden);
}
