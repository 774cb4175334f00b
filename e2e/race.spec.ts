import type { Page } from "playwright/test";
import { expect, field, peeks, said, test } from "./fixtures.ts";

const lab = (page: Page) => page.getByRole("region", { name: "The race lab" });
const way = (page: Page, title: "Plain commands" | "This store") =>
  lab(page)
    .locator(".way")
    .filter({ has: page.getByRole("heading", { name: title }) });
const step = (page: Page, name: string) => lab(page).getByRole("button", { name });

test("brings a plain session back, step by step, and none of the store", async ({ page }) => {
  await page.goto("/");
  await step(page, "Create two sessions").click();
  await expect(step(page, "Request writes")).toBeDisabled();
  await step(page, "Request reads").click();
  await step(page, "User logs out").click();
  await expect(way(page, "Plain commands").getByRole("cell", { name: "no key" })).toBeVisible();
  await step(page, "Request writes").click();
  await expect(way(page, "Plain commands")).toContainText("The session came back after the log-out.");
  await expect(way(page, "Plain commands")).toContainText("2 new fields: the key was gone");
  await expect(way(page, "This store")).toContainText("The session stays deleted.");
  await expect(way(page, "This store")).toContainText("null: no session, so nothing is written");
});

test("lets somebody choose another order", async ({ page }) => {
  await page.goto("/");
  await step(page, "Create two sessions").click();
  await step(page, "User logs out").click();
  await step(page, "Request reads").click();
  await expect(way(page, "Plain commands")).toContainText("The request found no session and ends.");
  await expect(way(page, "This store")).toContainText("The request found no session and ends.");
  await expect(step(page, "Request writes")).toBeDisabled();
});

test("keeps the steps that were taken when the page around them changes", async ({ page, context, redis, start }) => {
  await start(page);
  await step(page, "Create two sessions").click();
  await step(page, "Request reads").click();
  await expect(way(page, "Plain commands")).toContainText("HGETALL key");
  await redis.write(context, "theme", "dark");
  await expect(field(page, "theme")).toHaveText("dark");
  await peeks(page, 1);
  await expect(way(page, "Plain commands")).toContainText("HGETALL key");
  await step(page, "User logs out").click();
  await expect(way(page, "This store")).toContainText("deleteSession(id)");
});

test("can be worked by keyboard", async ({ page }) => {
  await page.goto("/");
  await step(page, "Create two sessions").focus();
  await page.keyboard.press("Enter");
  for (const next of ["Request reads", "User logs out", "Request writes"]) {
    await expect(step(page, next)).toBeFocused();
    await page.keyboard.press("Enter");
  }
  await expect(way(page, "This store")).toContainText("The session stays deleted.");
});

for (const javaScriptEnabled of [true, false]) {
  test.describe(javaScriptEnabled ? "with JavaScript" : "without JavaScript", () => {
    test.use({ javaScriptEnabled, expectedStatuses: [400] });

    test("counts what came back in many rounds, and shows the first one", async ({ page, start }) => {
      await start(page);
      await lab(page).getByLabel("Rounds").fill("40");
      await step(page, "Run the race").click();
      await expect(way(page, "Plain commands")).toContainText(/[1-9]\d* of 40 came back after the log-out/);
      await expect(way(page, "This store")).toContainText("0 of 40 came back after the log-out");
      await expect(way(page, "Plain commands")).toContainText("HSET key page_views 2");
      await expect(field(page, "username")).toHaveText("andrew");
    });

    test("says what is wrong with a number of rounds, beside it", async ({ page }) => {
      await page.goto("/");
      await lab(page).getByLabel("Rounds").fill("301");
      await step(page, "Run the race").click();
      await expect(lab(page).getByLabel("Rounds")).toHaveAccessibleDescription(
        "The rounds must be a whole number from 1 to 300.",
      );
      await expect(lab(page).getByLabel("Rounds")).toHaveValue("301");
    });
  });
}

test.describe("while Redis does not reply", () => {
  test.use({ expectedStatuses: [503] });

  test("a step says so, and can be taken again", async ({ page, redis }) => {
    await page.goto("/");
    await redis.pause(2500);
    await step(page, "Create two sessions").click();
    await expect(way(page, "Plain commands")).toContainText("Redis cannot be used at the moment.");
    await expect(async () => {
      await step(page, "Create two sessions").click();
      await expect(step(page, "Request reads")).toBeEnabled({ timeout: 1500 });
    }).toPass();
    await expect(said(page, "You have no session.")).toBeVisible();
  });
});
