import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { createApp } from "../../demo/app.ts";
import { createHttpServer } from "../../demo/http/http-server.ts";
import { openRedis } from "../../demo/process/open-redis.ts";
import { handleRequest } from "../../demo/routes/handle-request.ts";
import { Browser } from "../browser.ts";
import { spawnRedis } from "../redis-process.ts";

const UUID = /[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/;

const failUnexpectedly = () => Promise.reject(new TypeError("a mistake in our own code"));

test("an exception that nobody expects is a 500 that names its entry in the log, and the server goes on", async (t) => {
  const { port } = await spawnRedis(t);
  const { redis, address, close } = await openRedis({ host: "127.0.0.1", port });
  t.after(close);
  const app = createApp({
    redis,
    redisAddress: address,
    ping: failUnexpectedly,
    storeSettings: { ttl: 60, absoluteTtl: 3600 },
    isCookieSecure: false,
  });
  const { signal: stopping } = new AbortController();
  const server = createHttpServer((...request) => handleRequest(app, ...request), stopping);
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const browser = new Browser(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  await browser.post("/login");
  const log = t.mock.method(console, "error", () => {});

  for (const accept of ["application/json", "text/html"]) {
    const { status, headers, text, setCookies } = await browser.get("/healthz", { accept });
    const { arguments: logged } = log.mock.calls.at(-1)!;
    assert.deepEqual([status, setCookies, headers.get("cache-control")], [500, [], "no-store"]);
    assert.equal(headers.get("content-type"), `${accept}; charset=utf-8`);
    assert.match(String(logged[0]), new RegExp(`^Request ${UUID.exec(text)?.[0]} failed:`));
    assert.equal((logged[1] as Error).message, "a mistake in our own code");
    assert.doesNotMatch(text, /mistake|^ +at |node:|\.ts\b/m);
  }
  assert.equal(log.mock.callCount(), 2);
  assert.equal((await browser.get("/session")).status, 200);
});
