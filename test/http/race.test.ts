import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { openDemo } from "../demo-in-process.ts";
import { spawnServerWith } from "../demo-process.ts";
import { spawnRedis } from "../redis-process.ts";

const { openApp } = await openDemo();
const app = await openApp();
const asForm = { accept: "text/html" };

/** A reply as any JSON value. */
const jsonOf = ({ text }: { text: string }) => JSON.parse(text) as Record<string, unknown>;

describe("POST /race", () => {
  test("counts the sessions that came back, and shows the first round in which one did", async () => {
    const reply = await app.newBrowser().post("/race", { rounds: "30" });
    assert.equal(reply.status, 200);
    const { rounds, plain, whole, store, history } = jsonOf(reply) as never as {
      rounds: number;
      plain: { revived: number };
      whole: { revived: number };
      store: { revived: number };
      history: { plain: { steps: { step: string }[] } };
    };
    assert.equal(rounds, 30);
    assert.ok(plain.revived > 0 && whole.revived > 0, "none came back");
    assert.deepEqual(store, { revived: 0 });
    assert.deepEqual(
      history.plain.steps.map(({ step }) => step),
      ["read", "logout", "write"],
    );
  });

  test("runs a hundred rounds if the form names no number", async () => {
    assert.equal(jsonOf(await app.newBrowser().post("/race"))["rounds"], 100);
  });

  test("leads a form to the page, which shows the counts once", async () => {
    const browser = app.newBrowser();
    const { status, headers } = await browser.post("/race", { rounds: "30" }, asForm);
    assert.deepEqual([status, headers.get("location")], [303, "/#race"]);
    const page = await browser.get("/", asForm);
    assert.match(page.shown, /of 30 came back/);
    assert.match(page.shown, /HSET key page_views 2/);
    assert.match(page.shown, /<p class="because">Check and write are two steps/);
    assert.match(page.shown, /<p class="because">The request wrote back all that it had read/);
    assert.match(page.shown, /<p class="because">Check and write are one step/);
    assert.doesNotMatch((await browser.get("/", asForm)).shown, /of 30 came back/);
  });

  test("needs no session, and leaves that of the browser alone", async () => {
    const { browser, id } = await app.logIn();
    await browser.post("/race", { rounds: "1" });
    assert.equal((await browser.get("/session?refresh=false")).json.session_id, id);
  });

  test("refuses a number of rounds that is not from 1 to 300", async () => {
    for (const rounds of ["0", "301", "1.5", "-1", "1e2", "", "many"]) {
      const { status, json } = await app.newBrowser().post("/race", { rounds });
      assert.deepEqual([status, json.error], [400, "The rounds must be a whole number from 1 to 300."], rounds);
      const page = await app.newBrowser().post("/race", { rounds }, asForm);
      assert.deepEqual([page.status, /id="rounds-mistake"/.test(page.shown)], [400, true], rounds);
    }
  });

  test("refuses a race while another is running", async () => {
    const first = app.newBrowser().post("/race", { rounds: "300" });
    let reply;
    do reply = await app.newBrowser().post("/race", { rounds: "1" });
    while (reply.status === 200);
    assert.deepEqual([reply.status, reply.headers.get("retry-after")], [429, "1"]);
    assert.match(reply.json.error!, /^Another race is running/);
    assert.equal((await first).status, 200);
  });
});

describe("POST /race/step", () => {
  test("runs one step, on each of the three sessions", async () => {
    const browser = app.newBrowser();
    const { id } = jsonOf(await browser.post("/race/step", { step: "start" })) as { id: string };
    const held: number[][] = [];
    for (const step of ["read", "logout", "write"]) {
      const { plain, store } = jsonOf(await browser.post("/race/step", { step, id })) as never as Record<
        "plain" | "store",
        { fields: object }
      >;
      held.push([Object.keys(plain.fields).length, Object.keys(store.fields).length]);
    }
    assert.deepEqual(held, [
      [5, 6],
      [0, 0],
      [2, 0],
    ]);
  });

  test("refuses another step, and an ID of another form", async () => {
    const browser = app.newBrowser();
    for (const form of [
      {},
      { step: "constructor", id: "A".repeat(43) },
      { step: "read" },
      { step: "read", id: "user:x" },
    ]) {
      assert.equal((await browser.post("/race/step", form)).status, 400);
    }
  });
});

test("a race is a 503 while Redis does not reply", async (t) => {
  const redis = await spawnRedis(t);
  const { browser } = await spawnServerWith(t, redis);
  redis.hang();
  assert.equal((await browser.post("/race", { rounds: "10" })).status, 503);
  assert.equal((await browser.post("/race/step", { step: "start" })).status, 503);
  redis.resume();
});
