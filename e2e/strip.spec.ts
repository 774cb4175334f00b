import type { Page } from "playwright/test";
import { expect, field, logInButton, said, secondsLeft, test } from "./fixtures.ts";

const strip = (page: Page) => page.getByRole("region", { name: "Four things to try" });
const item = (page: Page, title: string) => strip(page).getByRole("listitem").filter({ hasText: title });
const lit = (page: Page) => strip(page).locator("[aria-current='step']");

const setValue = (element: Element, value: number) => element.setAttribute("value", String(value));

const TITLES = ["Let it expire", "Keep it alive", "Reach the absolute timeout", "Race a log-out"] as const;

test("lights one experiment at a time, and ticks each by its event, with what was learnt", async ({
  page,
  context,
  redis,
}) => {
  await page.goto("/");
  await expect(lit(page)).toHaveText(/^Let it expire\s*Log in for 15\ss, then touch nothing[^?]*\?$/, {
    useInnerText: true,
  });
  await expect(strip(page).getByRole("button", { name: /^(Log in|Race \d)/ })).toHaveCount(0); // the lit one has its control below
  await logInButton(page).click();
  await expect(lit(page)).toContainText("Now touch nothing.", { useInnerText: true });
  await redis.expire(context, 3);
  await expect(item(page, TITLES[0]).getByText("it was deleted by Redis")).toBeVisible();
  await expect(lit(page)).toContainText(TITLES[1], { useInnerText: true });

  await logInButton(page).evaluate(setValue, 60);
  await logInButton(page).click();
  await expect(lit(page)).toContainText("count a page view", { useInnerText: true });
  await expect(async () => {
    await page.getByRole("button", { name: "Count a page view" }).click();
    await expect(lit(page)).toContainText(TITLES[2], { timeout: 1000, useInnerText: true });
  }).toPass();
  await expect(item(page, TITLES[1]).getByText("Each use resets the idle timeout")).toBeVisible();

  await lit(page).getByRole("button", { name: "Log in for 30 s in all" }).click();
  await expect(lit(page)).toContainText("read it each second", { useInnerText: true });
  await page.getByRole("checkbox").check();
  await expect(lit(page)).toContainText("Watch the absolute timeout fall.", { useInnerText: true });
  await redis.endIn(context, 2);
  await expect(item(page, TITLES[2]).getByText("It ended although in use")).toBeVisible();
  await expect(said(page, "Its absolute timeout was reached")).toBeVisible();

  await lit(page).getByRole("button", { name: "Race 100 log-outs" }).click();
  await expect(item(page, TITLES[3]).getByText("sessions stayed deleted")).toBeVisible();
  await expect(lit(page)).toHaveCount(0);
  await expect(strip(page).getByText("All four are done.")).toBeVisible();
  await expect(page.locator("#race-results .verdict").first()).toBeInViewport();
});

test("ticks what the visitor did elsewhere on the page, and keeps the name of who is logged in", async ({
  page,
  context,
  redis,
  start,
}) => {
  await start(page, { username: "Ada", ttl: 30 });
  await redis.expire(context, 20);
  await expect.poll(() => secondsLeft(page)).toBeLessThan(21);
  const tab = await context.newPage();
  await tab.goto("/"); // a use in another tab
  await expect(item(page, TITLES[1]).getByText("Each use resets the idle timeout")).toBeVisible();
  for (const step of ["User logs in", "Request reads", "User logs out", "Request writes"]) {
    await page.getByRole("button", { name: step }).click();
  }
  await expect(item(page, TITLES[3]).getByText("sessions stayed deleted")).toBeVisible();
  await expect(lit(page)).toContainText("Now touch nothing.", { useInnerText: true });
  await redis.expire(context, 3);
  await expect(lit(page)).toContainText(TITLES[2], { useInnerText: true });
  await lit(page).getByRole("button", { name: "Log in for" }).click();
  await expect(field(page, "username")).toHaveText("Ada");
});

test("lights the experiment whose title is clicked, also one that is done", async ({ page, start }) => {
  await start(page, { ttl: 60 });
  await strip(page).getByRole("button", { name: TITLES[2] }).click();
  await expect(lit(page)).toContainText("does using it help?", { useInnerText: true });
  await expect(lit(page)).toBeFocused();
  await strip(page).getByRole("button", { name: TITLES[1] }).press("Enter");
  await expect(lit(page)).toContainText("count a page view", { useInnerText: true });
  await expect(async () => {
    await page.getByRole("button", { name: "Count a page view" }).click();
    await expect(item(page, TITLES[1]).getByText("Each use resets the idle timeout")).toBeVisible({ timeout: 1000 });
  }).toPass();
  await expect(lit(page)).toContainText(TITLES[0], { useInnerText: true });
  await strip(page).getByRole("button", { name: TITLES[1] }).click();
  await expect(lit(page)).toContainText("count a page view", { useInnerText: true });
});

test("ticks nothing when the session was deleted before its time", async ({ page, context, redis, start }) => {
  await start(page);
  await redis.remove(context);
  await expect(said(page, "Session ended.")).toBeVisible();
  await expect(strip(page).locator(".done")).toHaveCount(0);
});

test("can be closed, which this browser alone remembers, and opened again", async ({ page, context, start }) => {
  await start(page);
  await strip(page).getByRole("button", { name: "Close the four experiments" }).click();
  await expect(strip(page)).toBeHidden();
  await expect(page.getByRole("button", { name: "Four experiments" })).toBeFocused();
  await page.reload();
  await expect(field(page, "username")).toHaveText("andrew");
  await expect(strip(page)).toBeHidden();
  expect((await context.cookies()).map(({ name }) => name)).toEqual(["sid"]);
  await page.getByRole("button", { name: "Four experiments" }).click();
  await expect(lit(page)).toContainText(TITLES[0], { useInnerText: true });
});

test("takes nothing stored for granted", async ({ page }) => {
  for (const stored of ["null", "[]", "{", '{"done":{"length":9},"isClosed":"no"}', '{"done":["use","x",1]}']) {
    await page.addInitScript((text) => localStorage.setItem("experiments", text), stored);
    await page.goto("/");
    await expect(lit(page)).toContainText(TITLES[0], { useInnerText: true });
  }
});

test.describe("while Redis does not reply", () => {
  test.use({ expectedStatuses: [503] });

  test("ticks nothing in any experiment, and each goes on when Redis is back", async ({ page, context, redis }) => {
    const button = (name: string) => page.getByRole("button", { name }).first();
    const interrupt = async (title: (typeof TITLES)[number], control: string, { isAsked = true } = {}) => {
      await expect(lit(page)).toContainText(title, { useInnerText: true });
      await expect(button(control)).toBeVisible();
      redis.hang();
      if (!isAsked) await button(control).click(); // without a cookie, a peek needs no Redis
      await expect(button(control)).toHaveAttribute("aria-disabled", "true");
      redis.resume();
      await expect(button(control)).not.toHaveAttribute("aria-disabled");
      await expect(lit(page)).toContainText(title, { useInnerText: true });
    };
    await page.goto("/");
    await logInButton(page).evaluate(setValue, 300);
    await interrupt(TITLES[0], "Log in for", { isAsked: false });
    await logInButton(page).click();
    await interrupt(TITLES[0], "15 s");
    await button("15 s").evaluate(setValue, 3);
    await button("15 s").click();
    await interrupt(TITLES[1], "Log in for");
    await logInButton(page).evaluate(setValue, 300);
    await logInButton(page).click();
    await interrupt(TITLES[1], "Count a page view");
    await button("Count a page view").click();
    await page.getByRole("checkbox").check();
    await interrupt(TITLES[2], "Log in for 30 s in all");
    await expect(page.getByRole("checkbox")).toBeChecked();
    await redis.endIn(context, 2);
    await interrupt(TITLES[3], "Race 100 log-outs", { isAsked: false });
    await button("Race 100 log-outs").click();
    await expect(strip(page).getByText("All four are done.")).toBeVisible();
  });
});

test.describe("without JavaScript", () => {
  test.use({ javaScriptEnabled: false });

  test("is a list of four things to try, each with its control", async ({ page }) => {
    await page.goto("/");
    for (const title of TITLES) await expect(item(page, title).locator(".how").first()).toBeVisible();
    await expect(strip(page).getByRole("button")).toHaveText(["Log in for 30 s in all", "Race 100 log-outs"]);
    await item(page, TITLES[2]).getByRole("button").click();
    await expect(field(page, "session_ttl")).toHaveText("15");
    await expect(field(page, "username")).toHaveText("Guest");
  });
});
