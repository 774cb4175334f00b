import type { Page } from "playwright/test";
import { expect, field, peeks, said, test } from "./fixtures.ts";

const region = (page: Page) => page.getByRole("region", { name: "What each click cost" });
const entries = (page: Page) => page.locator("#costs > li");
/** The commands that the page shows inside a script, and why each ran. */
const steps = (page: Page) => entries(page).first().locator(".request").first().locator(".steps li");

test("shows a click and the page load after it as one entry, with the commands inside each script", async ({
  page,
  start,
}) => {
  await start(page, { ttl: 30 });
  await page.getByRole("button", { name: "Count a page view" }).click();
  await expect(entries(page).first()).toContainText("POST /increment, then GET / 2 round trips to Redis");
  await expect(steps(page).nth(0)).toHaveText("HMGET session_ttl … does the session exist?");
  await expect(steps(page).nth(1)).toContainText("HINCRBY page_views 1");
  await expect(steps(page).filter({ hasText: "PEXPIRE …" })).toHaveText(/\(if due\)$/);
  const pageLoad = entries(page).first().locator(".request").last();
  await expect(pageLoad.getByText("HGETALL")).toBeHidden();
  await pageLoad.locator("summary").click();
  await expect(pageLoad.getByText("HGETALL")).toBeVisible();
  await expect(pageLoad).toContainText("Sent together with the one above: one round trip.");
});

test("says why there is an EVALSHA and an EVAL when Redis has not cached the script", async ({
  page,
  redis,
  start,
}) => {
  await start(page);
  await redis.forgetScripts();
  await page.getByRole("button", { name: /^Get a new session ID/ }).click();
  await expect(said(page, "New session ID.")).toBeVisible();
  await expect(region(page)).toContainText(
    "Redis had not cached the script yet and refused, so EVAL sends the script along.",
  );
});

test("leads to the script, with the lines of the operation marked", async ({ page, start }) => {
  await start(page);
  await page.getByRole("button", { name: "Count a page view" }).click();
  await expect(field(page, "page_views")).toHaveText("2");
  const opened = page.waitForEvent("popup");
  await entries(page).first().getByRole("link", { name: "These lines in the script" }).first().click();
  const script = await opened;
  await expect(script.getByRole("link", { name: "increment" })).toHaveAttribute("aria-current", "page");
  await expect(script.locator("mark").filter({ hasText: "HINCRBY" })).not.toHaveCount(0);
  await script.getByRole("link", { name: "peek" }).click();
  await expect(script.locator("mark").filter({ hasText: "HGETALL" })).not.toHaveCount(0);
  await expect(script.locator("mark").filter({ hasText: "HINCRBY" })).toHaveCount(0);
});

test("keeps what the last clicks cost, and no more than six of them", async ({ page, context, redis, start }) => {
  await start(page);
  for (let views = 2; views <= 8; views += 1) {
    await page.getByRole("button", { name: "Count a page view" }).click();
    await expect(field(page, "page_views")).toHaveText(String(views));
  }
  await expect(entries(page)).toHaveCount(6);
  await redis.write(context, "theme", "dark");
  await expect(field(page, "theme")).toHaveText("dark");
  await peeks(page, 1);
  await expect(entries(page)).toHaveCount(6);
  await expect(entries(page).first()).toContainText("POST /increment, then GET /");
});

test("lists the reads of the switch, and does not say then that watching changes nothing", async ({ page, start }) => {
  await start(page);
  await page.getByRole("switch").check();
  await expect(entries(page).first()).toContainText(/GET \/, read by the switch [3-9] times/, { timeout: 20_000 });
  await expect(said(page, "each read resets the idle timeout")).toBeVisible();
  await expect(said(page, "watching does not")).toBeHidden();
  await expect(entries(page).nth(1)).toContainText("POST /login");
  await page.getByRole("switch").uncheck();
  await expect(said(page, "each read resets the idle timeout")).toBeHidden();
});
