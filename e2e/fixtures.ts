import { type BrowserContext, test as base, expect, type Page } from "playwright/test";
import { createClient } from "redis";
import { startPrivateRedis } from "../demo/process/private-redis.ts";
import { spawnServer } from "../test/demo-process.ts";
import { REDIS_PROGRAM } from "../test/redis-program.ts";

interface Redis {
  host: string;
  port: number;
  /** Milliseconds until the key of this browser's session expires; negative if there is none. */
  timeLeft(context: BrowserContext): Promise<number>;
  /** Sets a field of this browser's session, as another program might. */
  write(context: BrowserContext, field: string, value: string): Promise<void>;
  /** Redis replies to nobody until it is told to resume. */
  hang(): void;
  resume(): void;
  /** Deletes the key of this browser's session, as `redis-cli DEL` does. */
  remove(context: BrowserContext): Promise<void>;
  /** Moves the expiry of this browser's session, as `redis-cli EXPIRE` does. A page notices that within two seconds. */
  expire(context: BrowserContext, seconds: number): Promise<void>;
  /** Moves the absolute timeout of this browser's session. The next use of the session obeys it. */
  endIn(context: BrowserContext, seconds: number): Promise<void>;
  /** Lets Redis forget the scripts that it has cached. */
  forgetScripts(): Promise<void>;
}

interface Options {
  /** Statuses of failed requests that the browser may mention in its console. */
  expectedStatuses: number[];
}

/** Stands among the statuses for a request that got no reply. */
export const NO_REPLY = 0;

interface Fixtures {
  /** Starts a session on the page, with any timeouts in seconds: the page offers only some. */
  start: (page: Page, session?: { username?: string; ttl?: number; absoluteTtl?: number }) => Promise<void>;
  /** Fails a test whose pages print in the console, throw, or ask another host for anything. */
  quiet: void;
}

interface WorkerFixtures {
  redis: Redis;
  /** Starts a demo server on a free port and returns its URL. */
  newServer: (...args: string[]) => Promise<string>;
  url: string;
}

export const test = base.extend<Fixtures & Options, WorkerFixtures>({
  redis: [
    async ({}, use) => {
      const server = await startPrivateRedis(undefined, [REDIS_PROGRAM]);
      const client = await createClient({ socket: { host: server.host, port: server.port } }).connect();
      const pid = Number(/process_id:(\d+)/.exec(await client.info("server"))![1]);
      const resume = () => void process.kill(pid, "SIGCONT");
      await use({
        host: server.host,
        port: server.port,
        timeLeft: async (context) => client.pTTL(await keyOf(context)),
        write: async (context, field, value) => void (await client.hSet(await keyOf(context), field, value)),
        hang: () => void process.kill(pid, "SIGSTOP"),
        resume,
        remove: async (context) => void (await client.del(await keyOf(context))),
        expire: async (context, seconds) => void (await client.pExpire(await keyOf(context), seconds * 1000)),
        endIn: async (context, seconds) =>
          void (await client.hSet(await keyOf(context), "session_deadline", Math.ceil(Date.now() / 1000 + seconds))),
        forgetScripts: async () => void (await client.scriptFlush()),
      });
      resume();
      await client.close();
      await server.stop();
    },
    { scope: "worker" },
  ],

  newServer: [
    async ({ redis }, use) => {
      const ends: (() => unknown)[] = [];
      const worker = { after: (end: () => unknown) => void ends.push(end) };
      const itsRedis = ["--redis-host", redis.host, "--redis-port", String(redis.port)];
      await use(async (...args) => {
        const { url } = await spawnServer(worker, ["--port", "0", ...itsRedis, ...args]).listening();
        return url;
      });
      for (const end of ends.toReversed()) await end();
    },
    { scope: "worker" },
  ],

  url: [async ({ newServer }, use) => use(await newServer()), { scope: "worker" }],
  baseURL: async ({ url }, use) => use(url),
  expectedStatuses: [[], { option: true }],

  quiet: [
    async ({ context, expectedStatuses }, use) => {
      const noise: string[] = [];
      context.on("console", (message) => {
        const status = /^Failed to load resource.* (?:status of (\d+)|net::ERR_FAILED)/.exec(message.text());
        if (status === null || !expectedStatuses.includes(Number(status[1] ?? NO_REPLY))) noise.push(message.text());
      });
      context.on("weberror", (error) => noise.push(String(error.error())));
      context.on("request", (request) => {
        if (new URL(request.url()).hostname !== "localhost") noise.push(request.url());
      });
      await use();
      expect(noise).toEqual([]);
    },
    { auto: true },
  ],

  start: async ({}, use) =>
    use(async (page, { username = "andrew", ttl = 60, absoluteTtl } = {}) => {
      await page.goto("/");
      await page.getByLabel("Username").fill(username);
      const setValue = (element: Element, value: unknown) => element.setAttribute("value", String(value));
      await logInButton(page).evaluate(setValue, ttl);
      if (absoluteTtl !== undefined)
        await page.locator("[name='absolute_ttl']:checked").evaluate(setValue, absoluteTtl);
      await logInButton(page).click();
      await expect(field(page, "username")).toHaveText(username);
    }),
});

export { expect };

export const logInButton = (page: Page) => page.getByRole("region", { name: "You" }).locator("#log-in");
/** The field for any idle timeout, which is folded at first. */
export async function otherTtl(page: Page) {
  await page.getByText("other", { exact: true }).click();
  return page.getByLabel("Idle timeout in seconds");
}
/** The value that the page shows for a field of the hash. */
export const field = (page: Page, name: string) => page.getByRole("row", { name }).locator("bdi");
/** What the page says of the last thing that happened. */
export const said = (page: Page, text: string) => page.getByRole("region", { name: "You" }).getByText(text);
/** The seconds that the page shows as left of a timeout. */
export const secondsLeft = async (page: Page, timeout: "Idle timeout" | "Absolute timeout" = "Idle timeout") =>
  Number.parseFloat((await page.locator(".clock").filter({ hasText: timeout }).locator(".left").textContent()) ?? "");

/** The marks of the timeline that a keyboard reaches, the oldest first. */
export const marks = (page: Page) => page.getByRole("group", { name: "Timeline" }).getByRole("img");
/** Waits for this many more peeks. */
export async function peeks(page: Page, count: number): Promise<void> {
  for (let done = 0; done < count; done += 1) await page.waitForResponse(/\/session\?refresh=false/);
}

/** Stops the page's clock, which must be installed. On a busy machine the moment may have passed when it gets there: then again. */
export async function pauseClock(page: Page): Promise<void> {
  await expect(async () => page.clock.pauseAt(await page.evaluate(() => Date.now() + 2000))).toPass();
}

async function keyOf(context: BrowserContext): Promise<string> {
  const cookie = (await context.cookies()).find(({ name }) => name === "sid");
  return `session:${cookie?.value}`;
}
