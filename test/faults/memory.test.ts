import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Browser } from "../browser.ts";
import { openDemo } from "../demo-in-process.ts";

const ROUNDS = 100;
const KEPT_BYTES = 200; // of a request, at most
const MAX_TRIES = 10; // what the engine compiles and caches comes to an end, and a leak does not

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const { openApp } = await openDemo();

async function useEverything(browser: Browser): Promise<number> {
  const html = { accept: "text/html" };
  const replies = [
    await browser.post("/increment", {}, html),
    await browser.get("/", html),
    await browser.get("/session"),
    await browser.post("/ttl", { ttl: "500" }),
    await browser.get("/session?refresh=false"),
    await browser.post("/rotate", {}, html),
    await browser.get("/sessions"),
    await browser.post("/ttl", { ttl: "a mistake" }, html),
    await browser.get("/nothing"),
  ];
  return replies.length;
}

async function heapAfter(browser: Browser, rounds: number): Promise<number> {
  for (let round = 0; round < rounds; round++) await useEverything(browser);
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

test("nothing of a request is kept once it has been replied to", { timeout: 900_000 }, async (t) => {
  const { logIn } = await openApp();
  const { browser } = await logIn({ ttl: "600" });
  const requests = ROUNDS * (await useEverything(browser));
  const kept: number[] = [];
  for (let before = await heapAfter(browser, ROUNDS); kept.length < MAX_TRIES;) {
    const after = await heapAfter(browser, ROUNDS);
    kept.push(Math.round((after - before) / requests));
    if (kept.at(-1)! < KEPT_BYTES) break;
    before = after;
  }
  t.diagnostic(`bytes kept of a request, in one ${requests} after another: ${kept.join(", ")}`);
  assert.ok(kept.at(-1)! < KEPT_BYTES, `${kept.join(", ")} bytes`);
});
