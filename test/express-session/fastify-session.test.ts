import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import fastifyCookie from "@fastify/cookie";
import fastifySession from "@fastify/session";
import fastify, { type FastifyRequest } from "fastify";
import { ExpressSessionStore } from "../../express-session-store.ts";
import { Browser } from "../browser.ts";
import { openRedis } from "../redis-connection.ts";
import { newPrefix, NO_HURRY } from "../store-under-test.ts";
import { until } from "../wait.ts";

const { redis } = await openRedis();

declare module "fastify" {
  interface Session {
    count?: number;
  }
}

describe("an application with @fastify/session", () => {
  test("counts, regenerates and destroys", async () => {
    const { browser, store } = await openApplication();
    assert.equal((await browser.post("/count")).text, "1");
    assert.equal((await browser.post("/count")).text, "2");
    const id = browser.cookies.get("sessionId");
    assert.equal((await browser.post("/regenerate")).text, "2");
    assert.notEqual(browser.cookies.get("sessionId"), id);
    assert.equal((await browser.post("/count")).text, "3");
    assert.equal(await store.length(), 1);
    assert.equal((await browser.post("/destroy")).text, "destroyed");
    assert.equal(await store.length(), 0);
    assert.equal((await browser.post("/count")).text, "1");
  });

  test("a slow request that saves its session after a log-out does not bring it back", async () => {
    for (const slow of ["/slow-count", "/slow-save", "/slow-show"]) {
      const { browser, store, release } = await openApplication();
      await browser.post("/count");
      const request = browser.post(slow);
      assert.ok(await until(() => release.isWaiting()));
      await browser.post("/destroy");
      release.go();
      assert.equal((await request).status, 200);
      assert.equal(await store.length(), 0, slow);
    }
  });
});

function count({ session }: FastifyRequest): string {
  session.count = (session.count ?? 0) + 1;
  return String(session.count);
}

/** A request to a path with "slow" waits for `release.go()`. */
async function openApplication() {
  const store = new ExpressSessionStore({ redis, ...NO_HURRY, prefix: newPrefix() });
  let proceed: (() => void) | undefined;
  const app = fastify();
  app.addContentTypeParser("application/x-www-form-urlencoded", (_request, payload, done) => {
    payload.resume().on("end", () => done(null));
  });
  await app.register(fastifyCookie);
  await app.register(fastifySession, {
    store,
    secret: "a secret of at least 32 characters",
    saveUninitialized: false,
    cookie: { secure: false },
  });
  app.addHook("preHandler", async ({ url }) => {
    if (url.startsWith("/slow")) await new Promise<void>((resolve) => (proceed = resolve));
  });
  app.post("/count", async (request) => count(request));
  app.post("/slow-count", async (request) => count(request));
  app.post("/slow-show", async ({ session }) => String(session.count));
  app.post("/slow-save", async ({ session }) => {
    await session.save();
    return "saved";
  });
  app.post("/regenerate", async (request) => {
    await request.session.regenerate(["count"]);
    return String(request.session.count);
  });
  app.post("/destroy", async ({ session }) => {
    await session.destroy();
    return "destroyed";
  });
  const url = await app.listen({ host: "127.0.0.1", port: 0 });
  after(() => app.close());
  return {
    browser: new Browser(url),
    store,
    release: { go: () => proceed?.(), isWaiting: () => proceed !== undefined },
  };
}
