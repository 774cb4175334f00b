import type { BrowserContext, Page } from "playwright/test";
import { expect, field, said, test } from "./fixtures.ts";

const list = (page: Page) => page.getByRole("region", { name: "Your sessions" });
const items = (page: Page) => list(page).getByRole("listitem");

/** A page of another browser. */
async function openElsewhere(elsewhere: BrowserContext): Promise<Page> {
  const page = await elsewhere.newPage();
  await page.goto("/");
  return page;
}

test("notices a session that begins in another browser, ends it, and the other browser says so by itself", async ({
  page,
  browser,
  url,
  start,
}) => {
  await start(page, { username: "user-a" });
  await expect(items(page)).toHaveText([/Chrome on .*: this browser/]);
  const elsewhere = await browser.newContext({ baseURL: url });
  const other = await openElsewhere(elsewhere);
  await start(other, { username: "user-a" });
  await expect(items(page)).toHaveCount(2);
  await expect(items(page).filter({ hasText: ": this browser" })).toHaveCount(1);
  await list(page)
    .getByRole("button", { name: /^End the session on Chrome/ })
    .click();
  await expect(said(page, "The session is ended.")).toBeVisible();
  await expect(items(page)).toHaveCount(1);
  await expect(said(other, "Session ended.")).toBeVisible();
  await expect(list(other)).toHaveCount(0);
  await expect(field(page, "username")).toHaveText("user-a");
  await elsewhere.close();
});

test("asks for the session and the list together, once a second", async ({ page, start }) => {
  await start(page, { username: "user-e" });
  await expect(items(page)).toHaveCount(1);
  const requests: string[] = [];
  page.on("request", (request) => requests.push(request.url().replace(/^.*\/\/[^/]+/, "")));
  await expect.poll(() => requests.length).toBe(3);
  expect(new Set(requests)).toEqual(new Set(["/session?refresh=false&sessions=true"]));
});

test("shows how long another browser's session has, by the second", async ({ page, browser, url, start }) => {
  const elsewhere = await browser.newContext({ baseURL: url });
  await start(await openElsewhere(elsewhere), { username: "user-f", ttl: 500 });
  await start(page, { username: "user-f" });
  const other = items(page).filter({ hasNotText: "this browser" });
  await expect(other).toContainText(/ [78] min \d+ s left/);
  const before = await other.locator(".ttl").textContent();
  await expect(other.locator(".ttl")).not.toHaveText(before!);
  await elsewhere.close();
});

test("ends all other sessions of the user, and nobody else's", async ({ page, browser, url, start }) => {
  await start(page, { username: "user-b" });
  const contexts = await Promise.all(Array.from({ length: 3 }, async () => browser.newContext({ baseURL: url })));
  const [first, second, stranger] = (await Promise.all(contexts.map(openElsewhere))) as [Page, Page, Page];
  await start(first, { username: "user-b" });
  await start(second, { username: "user-b" });
  await start(stranger, { username: "user-c" });
  await expect(items(page)).toHaveCount(3);
  await list(page).getByRole("button", { name: "End all others" }).click();
  await expect(items(page)).toHaveCount(1);
  await expect(list(page).getByRole("button")).toHaveCount(0);
  for (const other of [first, second]) await expect(said(other, "Session ended.")).toBeVisible();
  await expect(items(stranger)).toHaveCount(1);
  for (const context of contexts) await context.close();
});

test.describe("without JavaScript", () => {
  test.use({ javaScriptEnabled: false });

  test("lists and ends sessions by plain forms", async ({ page, browser, url, start }) => {
    await start(page, { username: "user-d" });
    const elsewhere = await browser.newContext({ baseURL: url, javaScriptEnabled: false });
    const other = await openElsewhere(elsewhere);
    await start(other, { username: "user-d" });
    await list(page).getByRole("link", { name: "List them" }).click();
    await list(page)
      .getByRole("button", { name: /^End the session on Chrome/ })
      .click();
    await expect(said(page, "The session is ended.")).toBeVisible();
    await expect(items(page)).toHaveCount(1);
    await other.reload();
    await expect(said(other, "Session ended.")).toBeVisible();
    await elsewhere.close();
  });
});
