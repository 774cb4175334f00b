import type { Page } from "playwright/test";
import { expect, field, peeks, said, test } from "./fixtures.ts";

const lab = (page: Page) => page.getByRole("region", { name: "The race lab" });
const way = (page: Page, title: "Plain commands" | "The whole session as one value" | "This store") =>
  lab(page)
    .locator(".way")
    .filter({ has: page.getByRole("heading", { name: title }) });
const step = (page: Page, name: string) => lab(page).getByRole("button", { name });

const hint = (page: Page) => lab(page).locator(".hint");
const WHY = {
  plain: "Check and write are two steps",
  whole: "The request wrote back all that it had read. The user is logged in again.",
  store: "Check and write are one step",
};

test("brings a plain session back, step by step, and none of the store", async ({ page }) => {
  await page.goto("/");
  await expect(hint(page)).toHaveText("Start with 1.");
  await step(page, "User logs in").click();
  await expect(step(page, "Request writes")).toBeDisabled();
  await step(page, "Request reads").click();
  await step(page, "User logs out").click();
  await expect(way(page, "Plain commands").getByText("no key")).toBeVisible();
  await expect(hint(page)).toHaveText("Next: 4. Will the write bring the session back?");
  await expect(lab(page)).not.toContainText("two steps", { useInnerText: true });
  await step(page, "Request writes").click();
  await expect(way(page, "Plain commands")).toContainText("The key came back after the log-out, without a user.");
  await expect(way(page, "The whole session as one value")).toContainText("The user is logged in again.");
  await expect(way(page, "Plain commands")).toContainText("2 new fields: the key was gone");
  await expect(lab(page).getByText(WHY.plain)).toBeVisible();
  await expect(way(page, "This store")).toContainText("The session stays deleted.");
  await expect(way(page, "This store")).toContainText("null: no session, so nothing is written");
  await expect(lab(page).getByText(WHY.store)).toBeVisible();
});

test("lets somebody log out before the request reads", async ({ page }) => {
  await page.goto("/");
  await step(page, "User logs in").click();
  await step(page, "User logs out").click();
  await step(page, "Request reads").click();
  await expect(hint(page)).toHaveText("Done: the request found no session and ends. 1 starts again.");
  await expect(way(page, "Plain commands")).toContainText("empty: no session");
  await expect(way(page, "This store")).toContainText("null: no session");
  await expect(step(page, "Request writes")).toBeDisabled();
});

test("lets somebody write before the log-out, and start again", async ({ page }) => {
  await page.goto("/");
  for (const name of ["User logs in", "Request reads", "Request writes", "User logs out"]) {
    await step(page, name).click();
  }
  await expect(hint(page)).toHaveText(/^Done: the write came before the log-out/);
  await expect(lab(page)).not.toContainText("two steps", { useInnerText: true });
  await step(page, "User logs in").click();
  await expect(way(page, "Plain commands").getByRole("listitem")).toHaveCount(1);
  await expect(step(page, "Request reads")).toBeEnabled();
});

test("keeps the steps that were run when the page around them changes", async ({ page, context, redis, start }) => {
  await start(page);
  await step(page, "User logs in").click();
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
  await step(page, "User logs in").focus();
  await page.keyboard.press("Enter");
  for (const next of ["Request reads", "User logs out", "Request writes"]) {
    await expect(step(page, next)).toBeFocused();
    await page.keyboard.press("Enter");
  }
  await expect(way(page, "This store")).toContainText("The session stays deleted.");
});

test("resets the steps after a race of many rounds", async ({ page }) => {
  await page.goto("/");
  await step(page, "User logs in").click();
  await step(page, "Request reads").click();
  await expect(step(page, "User logs out")).toBeEnabled();
  await step(page, "Run the race").click();
  await expect(way(page, "This store")).toContainText("0 of 100 came back");
  await expect(step(page, "User logs out")).toBeDisabled();
  await step(page, "User logs in").click();
  await expect(lab(page)).not.toContainText("of 100 came back", { useInnerText: true });
  await expect(way(page, "Plain commands").getByRole("listitem")).toHaveCount(1);
});

for (const width of [320, 390]) {
  test.describe(`${width} pixels wide`, () => {
    test.use({ viewport: { width, height: 844 } });

    test("shows both counts and the button in one view, and breaks no word of a call", async ({ page }) => {
      await page.goto("/");
      await step(page, "Run the race").click();
      for (const title of ["Plain commands", "The whole session as one value", "This store"] as const) {
        await expect(way(page, title).locator(".verdict")).toBeInViewport({ ratio: 1 });
      }
      await expect(step(page, "Run the race")).toBeInViewport({ ratio: 1 });
      await expect(step(page, "Run the race")).toBeFocused();
      for (const code of await lab(page).locator("code").all()) {
        const { needed, available } = await code.evaluate((element) => ({
          needed: element.scrollWidth,
          available: element.clientWidth,
        }));
        expect(needed).toBeLessThanOrEqual(available);
        await expect(code).toHaveCSS("overflow-wrap", "normal");
      }
      await expect(way(page, "Plain commands").getByRole("listitem").filter({ hasText: "Log-out" })).toHaveText(
        "Log-out DEL key 1: deleted In Redis: no key",
      );
    });

    test("the script's page says which operation is marked, and keeps all of its lines in view", async ({ page }) => {
      await page.goto("/script?operation=increment#marked");
      await expect(page.getByRole("link", { name: "Back to the session" })).toBeInViewport({ ratio: 1 });
      const chosen = page.getByRole("link", { name: "increment" });
      await expect(chosen).toBeInViewport({ ratio: 1 });
      const bar = await page.getByRole("navigation").boundingBox();
      const marked = await page.locator("#marked").boundingBox();
      expect(marked!.y).toBeGreaterThanOrEqual(bar!.y + bar!.height);
      expect((await chosen.boundingBox())!.height).toBeGreaterThanOrEqual(40);
      for (const reason of await page.locator("mark + .reason").all()) {
        const [code, why] = [await reason.locator("..").locator("mark").boundingBox(), await reason.boundingBox()];
        expect(why!.y).toBeGreaterThanOrEqual(code!.y + code!.height - 4); // the boxes of the two fonts overlap
        expect(why!.x + why!.width).toBeLessThanOrEqual(width);
      }
    });
  });
}

for (const javaScriptEnabled of [true, false]) {
  test.describe(javaScriptEnabled ? "with JavaScript" : "without JavaScript", () => {
    test.use({ javaScriptEnabled, expectedStatuses: [400] });

    test("counts what came back in many rounds, and shows the first one", async ({ page, start }) => {
      await start(page);
      await lab(page).getByLabel("Rounds").fill("40");
      await step(page, "Run the race").click();
      await expect(way(page, "Plain commands")).toContainText(/[1-9]\d* of 40 came back/);
      await expect(way(page, "This store")).toContainText("0 of 40 came back");
      await expect(way(page, "Plain commands")).toContainText("HSET key page_views 2");
      for (const sentence of Object.values(WHY)) await expect(lab(page).getByText(sentence)).toBeVisible();
      await expect(step(page, "Run the race")).toBeInViewport();
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

  test("a step says so, and can be run again", async ({ page, redis }) => {
    await page.goto("/");
    redis.hang();
    await step(page, "User logs in").click();
    await expect(hint(page)).toContainText("Redis cannot be used at the moment.");
    redis.resume();
    await expect(async () => {
      await step(page, "User logs in").click();
      await expect(step(page, "Request reads")).toBeEnabled({ timeout: 1500 });
    }).toPass();
    await expect(said(page, "You have no session.")).toBeVisible();
  });
});
