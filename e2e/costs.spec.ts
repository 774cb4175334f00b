import type { Page } from "playwright/test";
import { expect, field, logInButton, peeks, said, test } from "./fixtures.ts";

const region = (page: Page) => page.getByRole("region", { name: "What a click cost" });
const entries = (page: Page) => page.locator("#costs > li");
/** The commands that the page shows inside the script of the click, and why each ran. */
const steps = (page: Page) => entries(page).first().locator(".steps").first().locator("li");
const open = (page: Page) => entries(page).first().locator("summary").click();

test("says in one line what a click and the page load after it cost, and opens to the commands in each script", async ({
  page,
  start,
}) => {
  await start(page, { ttl: 30 });
  await page.getByRole("button", { name: "Count a page view" }).click();
  await expect(entries(page).first().locator("summary")).toHaveText(
    /^POST \/increment, then GET \/ 2 round trips to Redis, where scripts run (\d+ to )?\d+ commands$/,
  );
  await expect(entries(page).nth(1)).toBeHidden();
  await expect(region(page).getByText("HINCRBY")).toBeHidden();
  await open(page);
  await expect(steps(page).nth(0)).toHaveText("HMGET session_ttl … does the session exist?");
  await expect(steps(page).nth(1)).toContainText("HINCRBY page_views 1");
  await expect(steps(page).filter({ hasText: "PEXPIRE …" })).toHaveText(/\(if due\)$/);
  await expect(entries(page).first()).toContainText("Sent together with the one above: one round trip.");
  await expect(entries(page).nth(1)).toBeVisible();
});

test("costs the first log-in what it costs all others", async ({ page, redis, newServer }) => {
  await redis.forgetScripts();
  await page.goto(await newServer());
  const cost = entries(page).first().locator("summary");
  for (let logIns = 0; logIns < 2; logIns += 1) {
    await logInButton(page).click();
    await expect(cost).toContainText("POST /login, then GET / 4 round trips to Redis");
    await page.getByRole("button", { name: "Log out" }).click();
  }
});

test("says why there is an EVALSHA and an EVAL when Redis has not cached the script", async ({
  page,
  redis,
  start,
}) => {
  await page.route("**/session?*", () => {}); // else a peek may let Redis cache them before the click
  await start(page);
  await redis.forgetScripts();
  await page.getByRole("button", { name: /^Get a new session ID/ }).click();
  await expect(said(page, "New session ID.")).toBeVisible();
  await open(page);
  await expect(region(page)).toContainText(
    "Redis had not cached the script yet and refused, so EVAL sends the script along.",
  );
});

test("leads to the script, with the lines of the operation marked", async ({ page, start }) => {
  await start(page);
  await page.getByRole("button", { name: "Count a page view" }).click();
  await expect(field(page, "page_views")).toHaveText("2");
  await open(page);
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

test("lists the reads of the checkbox, which leave what was said of a click", async ({ page, start }) => {
  const reads = (times: RegExp) => expect(entries(page).first()).toContainText(times);
  await start(page);
  await page.getByRole("checkbox").check();
  await reads(/GET \/, read each second ([2-9]|\d\d+) times/);
  await expect(entries(page).nth(1)).toContainText("POST /login");
  await expect(said(page, "Your session is live.")).toBeVisible();
  await page.getByRole("button", { name: "Count a page view" }).click();
  await expect(entries(page).nth(1)).toContainText("POST /increment");
  await reads(/GET \/, read each second ([2-9]|\d\d+) times/);
  await expect(said(page, "Page view counted.")).toBeVisible();
});
