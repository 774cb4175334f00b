import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "playwright/test";
import { expect, field, said, test } from "./fixtures.ts";

const STATES: Record<string, (page: Page, start: (page: Page, session?: object) => Promise<void>) => Promise<void>> = {
  "no session": async (page) => void (await page.goto("/")),
  "a session": async (page, start) => start(page),
  "an expired session": async (page, start) => {
    await start(page, { ttl: 1 });
    await expect(said(page, "Session expired.")).toBeVisible();
  },
  "a mistake": async (page) => {
    await page.goto("/");
    await page.getByLabel("Idle timeout (TTL) in seconds").fill("0");
    await page.getByRole("button", { name: "Log in", exact: true }).click();
    await expect(said(page, "TTL must be a whole number greater than 0.")).toBeVisible();
  },
  "an error": async (page) => void (await page.goto("/nothing-here")),
};

test.describe("every state of the page", () => {
  test.use({ expectedStatuses: [400, 404] });

  for (const [state, reach] of Object.entries(STATES)) {
    test(`has no accessibility violation: ${state}`, async ({ page, start }) => {
      await reach(page, start);
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        const { violations } = await new AxeBuilder({ page }).analyze();
        const found = violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]);
        expect(found, colorScheme).toEqual([]);
      }
    });

    test(`fits 320 pixels: ${state}`, async ({ page, start }) => {
      await page.setViewportSize({ width: 320, height: 640 });
      await reach(page, start);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
    });
  }
});

test.describe("a mistake in a form", () => {
  test.use({ expectedStatuses: [400] });

  test("is said beside its field, keeps what was typed, and harms nothing", async ({ page, start }) => {
    await start(page);
    const ttl = page.getByLabel("Idle timeout (TTL) in seconds");
    await ttl.fill("99999999999");
    await page.getByRole("button", { name: "Change the TTL", exact: true }).click();
    await expect(ttl).toHaveAttribute("aria-invalid", "true");
    await expect(ttl).toHaveAccessibleDescription("TTL must be at most 2592000 seconds.");
    await expect(ttl).toHaveValue("99999999999");
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

test("says what happened to a screen reader, and does not chatter", async ({ page, start }) => {
  await start(page, { ttl: 3 });
  const status = page.getByRole("status");
  await expect(status).toHaveText(/Session started/);
  await page.waitForResponse(/refresh=false/);
  await expect(status).toHaveText(/Session started/);
  await expect(status).toHaveText(/Session expired/);
});

test("marks what a click changed", async ({ page, start }) => {
  await start(page);
  await page.getByRole("button", { name: "Count a page view" }).click();
  await expect(page.getByRole("row", { name: "page_views" })).toHaveClass("changed");
  await expect(page.getByRole("row", { name: "username" })).not.toHaveClass("changed");
});

test("shows the commands that a click cost, and nobody else's", async ({ page, browser, baseURL, start }) => {
  await start(page);
  const other = await browser.newPage({ baseURL: baseURL! });
  await start(other, { username: "Grace" });
  await Promise.all([page, other].map((each) => each.getByRole("button", { name: "Count a page view" }).click()));
  const click = page.getByRole("listitem").filter({ hasText: "POST /increment" });
  await expect(click).toContainText(
    /POST \/increment: 1 round trip to Redis\s+EVALSHA increment session:\S{12}… page_views 1 [\d.]+ ms/,
  );
  await expect(page.getByRole("region", { name: "What your last click cost" })).not.toContainText("Grace");
  await other.close();
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

test("weighs less than 60 KB in all", async ({ page, start }) => {
  let bytes = 0;
  page.on("response", async (response) => {
    if (["document", "stylesheet", "script"].includes(response.request().resourceType())) {
      bytes += (await response.body()).length;
    }
  });
  await start(page);
  await page.goto("/", { waitUntil: "networkidle" });
  expect(bytes).toBeGreaterThan(5000);
  expect(bytes).toBeLessThan(60_000);
});

test("asks nothing while it is hidden", async ({ page, context, start }) => {
  await start(page);
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { value: true, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  let looks = 0;
  context.on("request", () => (looks += 1));
  await page.waitForTimeout(2500);
  expect(looks).toBe(0);
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { value: false });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await page.waitForResponse(/refresh=false/);
});

test("leaves alone what somebody types while news comes in", async ({ page, context, redis, start }) => {
  await start(page);
  await page.getByLabel("Idle timeout (TTL) in seconds").press("End");
  await page.keyboard.type("00");
  await redis.write(context, "theme", "dark");
  await expect(field(page, "theme")).toHaveText("dark");
  await expect(page.getByLabel("Idle timeout (TTL) in seconds")).toHaveValue("6000");
  await page.keyboard.press("Enter");
  await expect(field(page, "session_ttl")).toHaveText("6000");
});

test.describe("while Redis does not answer", () => {
  test.use({ expectedStatuses: [503] });

  test("says so, keeps the cookie, and comes back by itself", async ({ page, context, redis, start }) => {
    await start(page);
    await redis.pause(3000);
    await page.getByRole("button", { name: "Count a page view" }).click();
    await expect(page.getByRole("alert")).toContainText("Redis cannot be used at the moment.");
    expect(await context.cookies()).toHaveLength(1);
    await expect(page.getByRole("alert")).toBeHidden();
    await page.getByRole("button", { name: "Count a page view" }).click();
    await expect(field(page, "page_views")).toHaveText(/[23]/); // the first click may have come through after all
  });

  test("shows an error page that comes back by itself", async ({ page, redis, start }) => {
    await start(page);
    await redis.pause(3000);
    await page.goto("/");
    await expect(page.getByRole("heading", { name: "Redis cannot be used at the moment." })).toBeVisible();
    await expect(field(page, "username")).toHaveText("andrew");
  });
});

async function tabTo(page: Page, name: string): Promise<void> {
  const button = page.getByRole("button", { name });
  for (let tabs = 0; tabs < 40; tabs += 1) {
    if (await button.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`Tab does not reach "${name}"`);
}
