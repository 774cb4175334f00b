import { expect, field, logInButton, otherTtl, peeks, said, test } from "./fixtures.ts";

test("starts a session, and shows what the browser and what Redis holds", async ({ page, context, start }) => {
  await start(page, { username: "andrew", ttl: 60 });
  const [cookie] = await context.cookies();
  expect(cookie).toMatchObject({ name: "sid", httpOnly: true, sameSite: "Lax", path: "/", expires: -1 });
  await expect(page.getByRole("region", { name: "Your browser" })).toContainText(`sid=${cookie!.value}`);
  await expect(page.getByRole("region", { name: "Redis" })).toContainText(`session:${cookie!.value}`);
  await expect(field(page, "page_views")).toHaveText("1");
  await expect(field(page, "session_ttl")).toHaveText("60");
});

test('invites to a short session in one click, and offers other timeouts behind "more"', async ({ page }) => {
  await page.goto("/");
  await page.getByRole("button", { name: "Log in for 15 s" }).click();
  await expect(field(page, "session_ttl")).toHaveText("15");
  await expect(field(page, "username")).toHaveText("Guest");
  await page.getByRole("button", { name: "Log out" }).click();
  await expect(page.getByRole("radio", { name: "5 min" })).toBeHidden();
  await page.getByText("more: other timeouts").click();
  await page.getByRole("radio", { name: "5 min" }).check();
  await page.getByRole("button", { name: "30 s" }).click();
  await expect(field(page, "session_ttl")).toHaveText("30");
  await expect(page.getByRole("progressbar", { name: "Absolute timeout" })).toHaveAttribute(
    "max",
    /^(299|30\d)\d{3}$/, // five minutes, and what a busy machine adds
  );
});

test("counts page views, each of which keeps the session alive", async ({ page, context, redis, start }) => {
  await start(page);
  for (const views of ["2", "3"]) {
    await redis.expire(context, 20);
    await page.getByRole("button", { name: "Count a page view" }).click();
    await expect(field(page, "page_views")).toHaveText(views);
    expect(await redis.timeLeft(context)).toBeGreaterThan(20_000);
  }
});

test("changes the TTL, typed or in one click", async ({ page, context, redis, start }) => {
  await start(page);
  await (await otherTtl(page)).fill("120");
  await page.keyboard.press("Enter");
  await expect(field(page, "session_ttl")).toHaveText("120");
  await page.getByRole("button", { name: "5 min" }).click();
  await expect(field(page, "session_ttl")).toHaveText("300");
  await expect(page.getByRole("button", { name: "5 min" })).toHaveAttribute("aria-current", "true");
  expect(await redis.timeLeft(context)).toBeGreaterThan(290_000);
});

test("shows a session expire, with nobody touching the page, and offers its timeouts again", async ({
  page,
  context,
  redis,
  start,
}) => {
  await start(page, { username: "Grace", ttl: 45, absoluteTtl: 300 });
  await redis.expire(context, 3);
  await expect(said(page, "Session expired.")).toBeVisible();
  expect(await redis.timeLeft(context)).toBeLessThan(0);
  await expect(page.getByRole("region", { name: "Redis" })).toContainText("No key");
  await expect(page.getByRole("region", { name: "Your browser" })).toContainText("its ID is no longer valid");
  await expect(page.getByLabel("Username")).toHaveValue("Grace");
  await expect(page.getByRole("radio", { name: "5 min", includeHidden: true })).toBeChecked();
  await page.getByRole("button", { name: "Log in for 45 s" }).click();
  await expect(field(page, "session_ttl")).toHaveText("45");
});

test("peeks without extending the session", async ({ page, context, redis, start }) => {
  await start(page, { ttl: 30 });
  const before = await redis.timeLeft(context);
  for (let done = 0; done < 10; done += 1) await page.request.get("/session?refresh=false");
  await peeks(page, 2);
  await expect.poll(() => redis.timeLeft(context)).toBeLessThan(before - 1000);
});

test("reads instead of peeking while the checkbox is on, so that the session stays", async ({
  page,
  context,
  redis,
  start,
}) => {
  await start(page);
  await page.getByRole("checkbox").check();
  for (let reads = 0; reads < 2; reads += 1) {
    await redis.expire(context, 20);
    await expect.poll(() => redis.timeLeft(context)).toBeGreaterThan(20_000);
  }
  await page.getByRole("checkbox").uncheck();
  await peeks(page, 1);
  await redis.expire(context, 3);
  await expect(said(page, "Session expired.")).toBeVisible();
});

test("does not read the next session each second", async ({ page, start }) => {
  await start(page);
  await page.getByRole("checkbox").check();
  await expect(page.locator("#costs")).toContainText("read each second");
  await page.getByRole("button", { name: "Log out" }).click();
  await logInButton(page).click();
  await expect(said(page, "Session started.")).toBeVisible();
  await expect(page.getByRole("checkbox")).not.toBeChecked();
});

test.describe("a click that arrives after the end", () => {
  test.use({ javaScriptEnabled: false, expectedStatuses: [401] });

  test("is told so, and gets a form to log in again", async ({ page, context, redis, start }) => {
    await start(page);
    await redis.remove(context);
    await page.getByRole("button", { name: "Count a page view" }).click();
    await expect(said(page, "Session expired.")).toBeVisible();
    await logInButton(page).click();
    await expect(field(page, "page_views")).toHaveText("1");
  });
});

test("logs out: the key is deleted, the cookie forgotten", async ({ page, context, redis, start }) => {
  await start(page);
  await page.getByRole("button", { name: "Log out" }).click();
  await expect(said(page, "Logged out.")).toBeVisible();
  expect(await redis.timeLeft(context)).toBeLessThan(0);
  expect(await context.cookies()).toEqual([]);
});

test("gives a new session ID and keeps the data", async ({ page, context, start }) => {
  await start(page);
  const [before] = await context.cookies();
  await page.getByRole("button", { name: "Get a new session ID" }).click();
  await expect(said(page, "New session ID.")).toBeVisible();
  const [after] = await context.cookies();
  expect(after!.value).not.toBe(before!.value);
  await expect(field(page, "username")).toHaveText("andrew");
});

test("shows one session on two servers with one Redis", async ({ page, newServer, start }) => {
  await start(page);
  const second = await newServer();
  await page.goto(second);
  await expect(page.getByText(`:${new URL(second).port}`)).toBeVisible();
  await page.getByRole("button", { name: "Count a page view" }).click();
  await expect(field(page, "page_views")).toHaveText("2");
  await page.goto("/");
  await expect(field(page, "page_views")).toHaveText("2");
});

test.describe("a form on another origin", () => {
  test.use({ expectedStatuses: [403] });

  test("is refused, and the session lives", async ({ page, context, url, start }) => {
    await start(page);
    const [before] = await context.cookies();
    const form = `<form method="post" action="${url}/logout"><button>Win a prize</button></form>`;
    await page.route("http://localhost:1/", (route) => route.fulfill({ contentType: "text/html", body: form }));
    await page.goto("http://localhost:1/");
    await page.getByRole("button", { name: "Win a prize" }).click();
    await expect(page.getByRole("heading", { name: "This form was sent from another site." })).toBeVisible();
    await page.goto("/");
    await expect(field(page, "username")).toHaveText("andrew");
    expect((await context.cookies())[0]!.value).toBe(before!.value);
  });
});

test.describe("without JavaScript", () => {
  test.use({ javaScriptEnabled: false });

  test("has the whole life cycle", async ({ page, start }) => {
    await start(page, { username: "<b>Ada</b>" });
    await expect(page.getByRole("checkbox")).toBeHidden();
    await page.getByRole("button", { name: "Count a page view" }).click();
    await expect(said(page, "Page view counted")).toBeVisible();
    await expect(field(page, "page_views")).toHaveText("2");
    await page.getByRole("button", { name: "15 s" }).click();
    await expect(field(page, "session_ttl")).toHaveText("15");
    await page.getByRole("button", { name: "Get a new session ID" }).click();
    await expect(said(page, "New session ID.")).toBeVisible();
    await page.reload();
    await expect(said(page, "New session ID.")).toBeHidden();
    await page.getByRole("button", { name: "Log out" }).click();
    await expect(said(page, "Logged out.")).toBeVisible();
  });
});

test("shows what another tab did", async ({ page, context, start }) => {
  await start(page);
  const tab = await context.newPage();
  await tab.goto("/");
  await tab.getByRole("button", { name: "Count a page view" }).click();
  await page.bringToFront();
  await expect(field(page, "page_views")).toHaveText("2");
  await tab.getByRole("button", { name: "Log out" }).click();
  await expect(said(page, "You have no session.").or(said(page, "Session ended."))).toBeVisible();
});
