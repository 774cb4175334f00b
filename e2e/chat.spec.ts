import { type BrowserContext, expect, type Page, test } from "playwright/test";
import { startPrivateRedis } from "../demo/process/private-redis.ts";
import { spawnExample } from "../test/demo-process.ts";

const SESSION_ENDED = "ended with the session";

async function logIn(page: Page): Promise<void> {
  await page.getByLabel("Username").fill("andrew");
  await page.getByLabel("Password").fill("secret");
  await page.getByRole("button", { name: "Log in" }).click();
}

const expectState = (page: Page, state: string) => expect(page.getByRole("status")).toHaveText(state);

test("a log-out in one tab closes the sockets of all tabs, and a log-out everywhere those of all devices", async ({
  browser,
  context,
}) => {
  const redis = await startPrivateRedis();
  const ends: (() => unknown)[] = [];
  const environment = { REDIS_URL: `redis://${redis.host}:${redis.port}` };
  const example = await spawnExample({ after: (end) => ends.push(end) }, "examples/chat.ts", environment);
  const url = await example.listening();
  const openTab = async (device: BrowserContext) => {
    const page = await device.newPage();
    await page.goto(url);
    return page;
  };

  const [phone, laptop] = [context, await browser.newContext()];
  const [phoneTab, laptopTab] = [await openTab(phone), await openTab(laptop)];
  await Promise.all([logIn(phoneTab), logIn(laptopTab)]);
  const otherPhoneTab = await openTab(phone);
  for (const page of [phoneTab, otherPhoneTab, laptopTab]) await expectState(page, "open");

  await laptopTab.getByLabel("Message").fill("hello");
  await laptopTab.getByRole("button", { name: "Send" }).click();
  await expect(otherPhoneTab.getByRole("listitem")).toHaveText("andrew: hello");

  await phoneTab.getByRole("button", { name: "Log out", exact: true }).click();
  for (const page of [phoneTab, otherPhoneTab]) await expectState(page, SESSION_ENDED);
  await expectState(laptopTab, "open");

  await logIn(phoneTab);
  await expectState(phoneTab, "open");
  await laptopTab.getByRole("button", { name: "Log out everywhere" }).click();
  for (const page of [phoneTab, laptopTab]) await expectState(page, SESSION_ENDED);

  await laptop.close();
  for (const end of ends) await end();
  await redis.stop();
});
