/** `session-cookie.ts` over HTTPS, on hosts of one site and of another, as Chromium keeps cookies and names origins. */
import { once } from "node:events";
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { type Page, test as base, expect } from "playwright/test";
import { createClient } from "redis";
import { generate } from "selfsigned";
import { startPrivateRedis } from "../demo/process/private-redis.ts";
import { findBrowser } from "../scripts/find-browser.mjs";
import {
  type CrossSiteOptions,
  headerJar,
  isCrossSite,
  RequestSession,
  SessionCookie,
  type SessionCookieOptions,
} from "../session-cookie.ts";
import { RedisSessionStore } from "../session-store.ts";
import { REDIS_PROGRAM } from "../test/redis-program.ts";

type Options = SessionCookieOptions & CrossSiteOptions & { headers?: Record<string, string>; content?: string };

interface Fixtures {
  /** Starts an application, and returns its URL on a host of this name. */
  serve: (options?: Options) => Promise<(host: string) => string>;
}

interface WorkerFixtures {
  store: RedisSessionStore<{ username: typeof String }>;
  certificate: { key: string; cert: string };
}

const browser = findBrowser();
const ARGUMENTS = [
  "--no-sandbox",
  "--host-resolver-rules=MAP *.test 127.0.0.1",
  "--disable-site-isolation-trials", // Playwright sometimes waits for ever for a frame that has a process of its own
];

const test = base.extend<Fixtures, WorkerFixtures>({
  store: [
    async ({}, use) => {
      const server = await startPrivateRedis(undefined, [REDIS_PROGRAM]);
      const redis = await createClient({ socket: { host: server.host, port: server.port } }).connect();
      await use(new RedisSessionStore({ redis, fields: { username: String } }));
      redis.destroy();
      await server.stop();
    },
    { scope: "worker" },
  ],

  certificate: [
    async ({}, use) => {
      const { private: key, cert } = await generate([{ name: "commonName", value: "shop.test" }], { keyType: "ec" });
      await use({ key, cert });
    },
    { scope: "worker" },
  ],

  serve: async ({ store, certificate }, use) => {
    const ends: (() => unknown)[] = [];
    await use(async (options = {}) => {
      const application = newApplication(store, options);
      const isSecure = options.secure !== false;
      const server = isSecure ? createServer(certificate, application) : createHttpServer(application);
      await once(server.listen(0, "127.0.0.1"), "listening");
      ends.push(
        () => server.close(),
        () => server.closeAllConnections(),
      );
      const { port } = server.address() as AddressInfo;
      return (host) => `${isSecure ? "https" : "http"}://${host}:${port}`;
    });
    for (const end of ends) end();
  },
});

test.use({
  ignoreHTTPSErrors: true,
  launchOptions: { ...browser, args: ARGUMENTS },
});

/** With `content`, that is its page. Else its page shows the name of the user and has a form for each request. What it replies to a request is the page, too. */
function newApplication(store: WorkerFixtures["store"], options: Options) {
  const { headers = {}, allowedOrigins = [], content } = options;
  const cookie = new SessionCookie({ secure: true, ...options });
  return (request: IncomingMessage, response: ServerResponse) => {
    const reply = async () => {
      const { origin = "" } = request.headers;
      response.setHeader("Content-Type", "text/html");
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
      if (content !== undefined) return content;
      if (allowedOrigins.includes(origin)) {
        response.setHeader("Access-Control-Allow-Origin", origin);
        response.setHeader("Access-Control-Allow-Credentials", "true");
      }
      const jar = headerJar(request.headers.cookie, (setCookie) => response.appendHeader("Set-Cookie", setCookie));
      const session = new RequestSession(store, cookie, jar);
      const route = `${request.method} ${request.url}`;
      if (route === "POST /call-back") {
        await session.write({ username: "nobody" }, { create: false });
        response.writeHead(303, { Location: "/" });
        return "";
      }
      if (request.method === "POST" && isCrossSite(request.headers, { allowedOrigins })) {
        response.statusCode = 403;
        return `<h1>Refused</h1>`;
      }
      if (route === "POST /login") await session.logIn({ username: "andrew" });
      if (route === "POST /logout") await session.logOut();
      const { username = "Guest" } = (await session.read()) ?? {};
      return `<h1>${username}</h1><form method="post" action="/login"><button>Log in</button></form>
        <form method="post" action="/logout"><button>Log out</button></form>`;
    };
    reply().then(
      (page) => response.end(page),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  };
}

const press = (page: Page, button: string) => page.getByRole("button", { name: button }).click();
const expectUser = (page: Page, name: string) => expect(page.getByRole("heading")).toHaveText(name);

async function logIn(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await press(page, "Log in");
  await expectUser(page, "andrew");
}

test("a secure cookie belongs to its host alone: another subdomain cannot read, replace or precede it", async ({
  page,
  context,
  serve,
}) => {
  const urlOf = await serve();
  await logIn(page, urlOf("app.shop.test"));
  const [cookie] = await context.cookies();
  expect(cookie).toMatchObject({
    name: "__Host-sid",
    domain: "app.shop.test",
    path: "/",
    secure: true,
    httpOnly: true,
    sameSite: "Lax",
    expires: -1,
  });
  await page.goto(urlOf("other.shop.test"));
  await expectUser(page, "Guest");

  // Chromium accepts the one with a no-break space before it, which `trim()` would remove. It is sent first, because its
  // path is longer.
  for (const name of ["__Host-sid", "\u00a0__Host-sid", "__Host-sid\u00a0", "__host-sid"]) {
    const planted = `${name}=${"A".repeat(43)}; Domain=shop.test; Path=/account; Secure`;
    const foreignUrlOf = await serve({ headers: { "Set-Cookie": planted } });
    await page.goto(foreignUrlOf("other.shop.test"));
  }
  expect((await context.cookies()).length).toBeGreaterThan(1); // it has accepted some of them
  await page.goto(`${urlOf("app.shop.test")}/account`);
  await expectUser(page, "andrew");
});

test("a cookie that is set with a domain, SameSite and Partitioned is also cleared", async ({
  page,
  context,
  serve,
}) => {
  for (const options of [
    { domain: "shop.test" },
    { sameSite: "none" },
    { sameSite: "none", partitioned: true },
  ] as const) {
    const urlOf = await serve({ name: "shop", ...options });
    await logIn(page, urlOf("app.shop.test"));
    const prefix = "domain" in options ? "__Secure-" : "__Host-";
    expect((await context.cookies()).map(({ name }) => name)).toEqual([`${prefix}shop`]);
    await press(page, "Log out");
    await expectUser(page, "Guest");
    expect(await context.cookies()).toEqual([]);
  }
});

test("a cookie with a domain is shared by its subdomains", async ({ page, serve }) => {
  const urlOf = await serve({ domain: "shop.test" });
  await logIn(page, urlOf("app.shop.test"));
  await page.goto(urlOf("api.shop.test"));
  await expectUser(page, "andrew");
  await press(page, "Log out");
  await page.goto(urlOf("app.shop.test"));
  await expectUser(page, "Guest");
});

for (const [sameSite, expected] of [
  ["lax", "andrew"],
  ["strict", "Guest"],
  ["none", "andrew"],
] as const) {
  test(`a link of another site is followed ${expected === "Guest" ? "without" : "with"} the cookie: ${sameSite}`, async ({
    page,
    serve,
  }) => {
    const urlOf = await serve({ sameSite });
    await logIn(page, urlOf("app.shop.test"));
    const foreignUrlOf = await serve({ content: `<a href="${urlOf("app.shop.test")}">Shop</a>` });
    await page.goto(foreignUrlOf("bank.test"));
    await page.getByRole("link").click();
    await expectUser(page, expected);
    await page.goto(urlOf("app.shop.test"));
    await expectUser(page, "andrew");
  });
}

test("in a frame of another site, a partitioned cookie holds a session, apart from that of a page of its own", async ({
  page,
  serve,
}) => {
  const urlOf = await serve({ sameSite: "none", partitioned: true });
  const foreignUrlOf = await serve({ content: `<iframe src="${urlOf("app.shop.test")}"></iframe>` });
  await page.goto(foreignUrlOf("bank.test"));
  const frame = page.frameLocator("iframe");
  await frame.getByRole("button", { name: "Log in" }).click();
  await expect(frame.getByRole("heading")).toHaveText("andrew");
  await page.reload();
  await expect(frame.getByRole("heading")).toHaveText("andrew");
  await page.goto(urlOf("app.shop.test"));
  await expectUser(page, "Guest");
});

test("a form of another site or subdomain is refused, and the user stays logged in", async ({ page, serve }) => {
  const urlOf = await serve();
  await logIn(page, urlOf("app.shop.test"));
  for (const action of ["login", "logout"]) {
    const content = `<form method="post" action="${urlOf("app.shop.test")}/${action}"><button>Send</button></form>`;
    const foreignUrlOf = await serve({ content });
    for (const host of ["bank.test", "other.shop.test"]) {
      await page.goto(foreignUrlOf(host));
      await press(page, "Send");
      await expectUser(page, "Refused");
    }
  }
  await page.goto(urlOf("app.shop.test"));
  await expectUser(page, "andrew");
});

test("a page of an allowed origin sends requests with the cookie; one that is not allowed does not", async ({
  page,
  serve,
}) => {
  const pages = await serve();
  const api = await serve({ allowedOrigins: [pages("app.shop.test")] });
  const fetchFrom = async (host: string, method: string, path: string) => {
    await page.goto(pages(host));
    return page.evaluate(
      async ([url, verb]) => {
        const sent = fetch(url!, { method: verb!, credentials: "include" });
        return sent.then(async (reply) => reply.status + (await reply.text()).slice(0, 15)).catch(() => "not allowed");
      },
      [api("api.shop.test") + path, method],
    );
  };
  expect(await fetchFrom("app.shop.test", "POST", "/login")).toBe("200<h1>andrew</h1>");
  expect(await fetchFrom("app.shop.test", "GET", "/")).toBe("200<h1>andrew</h1>");
  for (const host of ["other.shop.test", "bank.test"]) {
    expect(await fetchFrom(host, "POST", "/logout")).toBe("not allowed");
    expect(await fetchFrom(host, "GET", "/")).toBe("not allowed");
  }
  await page.goto(api("api.shop.test"));
  await expectUser(page, "andrew");
});

test("another site's call-back comes without the cookie, and the user is logged in on the page that follows", async ({
  page,
  serve,
}) => {
  const urlOf = await serve();
  await logIn(page, urlOf("app.shop.test"));
  const content = `<form method="post" action="${urlOf("app.shop.test")}/call-back"><button>Send</button></form>`;
  const foreignUrlOf = await serve({ content });
  await page.goto(foreignUrlOf("bank.test"));
  await press(page, "Send");
  await expectUser(page, "andrew");
});

for (const [policy, secure, expected] of [
  ["no-referrer", true, "andrew"],
  ["no-referrer", false, "Refused"],
  ["same-origin", false, "andrew"],
] as const) {
  const scheme = secure ? "HTTPS" : "plain HTTP";
  test(`with Referrer-Policy ${policy} over ${scheme}, the application's own form is ${expected === "Refused" ? "refused" : "accepted"}`, async ({
    page,
    serve,
  }) => {
    const urlOf = await serve({ secure, headers: { "Referrer-Policy": policy } });
    await page.goto(urlOf("app.shop.test"));
    await press(page, "Log in");
    await expectUser(page, expected);
  });
}
