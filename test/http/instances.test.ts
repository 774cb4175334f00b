import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import * as fc from "fast-check";
import { Browser, type Reply } from "../browser.ts";
import { spawnServerWith } from "../demo-process.ts";
import { spawnRedis } from "../redis-process.ts";

const INSTANCES = 3;
const VIEWS = 300;
const TIMES = 10;
const UNKNOWN = { authenticated: false, session: null };

const redis = await spawnRedis({ after });
const instances = await Promise.all(Array.from({ length: INSTANCES }, () => spawnServerWith({ after }, redis)));

const newBrowser = (instance: number, id?: string) => new Browser(instances[instance % INSTANCES]!.url, id);

/** One browser, whose requests go to whichever instance is named. */
class Visitor {
  id: string | undefined;

  get(instance: number, path: string): Promise<Reply> {
    return this.#send(instance, (browser) => browser.get(path));
  }

  post(instance: number, path: string, form: Record<string, string> = {}): Promise<Reply> {
    return this.#send(instance, (browser) => browser.post(path, form));
  }

  async #send(instance: number, send: (browser: Browser) => Promise<Reply>): Promise<Reply> {
    const browser = newBrowser(instance, this.id);
    const reply = await send(browser);
    this.id = browser.sessionId || undefined;
    return reply;
  }
}

async function logIn() {
  const visitor = new Visitor();
  const { status, json } = await visitor.post(0, "/login", { username: "ada", ttl: "600" });
  assert.equal(status, 200);
  return { visitor, id: json.session_id! };
}

const everywhere = <Result>(ask: (instance: number) => Promise<Result>) =>
  Promise.all(instances.map((_, instance) => ask(instance)));

/** What each instance replies for an ID, peeking only. */
const peekEverywhere = (id: string) =>
  everywhere(async (instance) => (await newBrowser(instance, id).get("/session?refresh=false")).json);

async function assertDead(id: string) {
  assert.deepEqual(await peekEverywhere(id), [UNKNOWN, UNKNOWN, UNKNOWN]);
  assert.equal(await redis.send("EXISTS", `session:${id}`), 0);
}

const orders: [how: string, next: (n: number) => number][] = [
  ["in turn", (n) => n],
  ["at random", () => Math.floor(Math.random() * INSTANCES)],
];

describe("several servers on one Redis", { timeout: 900_000 }, () => {
  for (const [how, instanceOf] of orders) {
    test(`count each of 300 page views at once, dealt ${how}`, async () => {
      const { visitor, id } = await logIn();
      const requests = Array.from({ length: VIEWS }, (_, n) => visitor.post(instanceOf(n), "/increment"));
      const replies = await Promise.all(requests);
      const counted = replies.filter(({ status }) => status === 200);
      const unknown = replies.filter(({ status }) => status === 503); // on a busy machine, after the store's time limit
      assert.equal(counted.length + unknown.length, VIEWS);
      assert.ok(counted.length > 0);
      assert.equal(new Set(counted.map(({ json }) => json.page_views)).size, counted.length);
      await peekEverywhere(id); // each server's read comes after all that it has sent to Redis before
      const views = Number(await redis.send("HGET", `session:${id}`, "page_views"));
      assert.ok(views > counted.length && views <= VIEWS + 1, `${views} after ${counted.length} replies`);
      for (const { session } of await peekEverywhere(id)) assert.equal(session?.["page_views"], String(views));
    });
  }

  test("take a log-out at one for final, whatever is under way at the others", async () => {
    for (let n = 0; n < TIMES; n++) {
      const { visitor, id } = await logIn();
      const crowd = Array.from({ length: 12 }, (_, i) =>
        i % 2 === 0 ? newBrowser(i, id).post("/increment") : newBrowser(i, id).get("/session"),
      );
      assert.equal((await visitor.post(n, "/logout")).status, 200);
      await assertDead(id);
      for (const { status, text } of await Promise.all(crowd)) assert.ok([200, 401].includes(status), text);
      await assertDead(id);
    }
  });

  test("know an ID no more that was rotated at one, and all of them know the new one", async () => {
    for (let n = 0; n < TIMES; n++) {
      const { visitor, id } = await logIn();
      const { status, json } = await visitor.post(n, "/rotate");
      assert.equal(status, 200);
      await assertDead(id);
      for (const { session } of await peekEverywhere(json.session_id!)) assert.equal(session?.["username"], "ada");
    }
  });

  test("rotate a session once, where all of them are asked to at once", async () => {
    for (let n = 0; n < TIMES; n++) {
      const { id } = await logIn();
      const replies = await everywhere((instance) => newBrowser(instance, id).post("/rotate"));
      const winners = replies.filter(({ status }) => status === 200);
      const losers = replies.filter(({ status }) => status === 401);
      assert.deepEqual([winners.length, losers.length], [1, INSTANCES - 1]);
      await assertDead(id);
    }
  });

  test("tell the TTL that was set at one of them", async () => {
    const { visitor, id } = await logIn();
    for (let n = 0; n < INSTANCES; n++) {
      const limit = 1000 + n;
      assert.equal((await visitor.post(n, "/ttl", { ttl: String(limit) })).status, 200);
      for (const { configured_ttl, ttl } of await peekEverywhere(id)) {
        assert.equal(configured_ttl, limit);
        assert.ok(ttl! > limit - 30 && ttl! <= limit, `${ttl} seconds left of ${limit}`);
      }
    }
  });

  test("are one truth for a session whose requests go to any of them, in any order", async () => {
    const steps = fc.array(
      fc.record({ action, instance: fc.nat(INSTANCES - 1), ttl: fc.integer({ min: 300, max: 900 }) }),
      {
        minLength: 5,
        maxLength: 20,
      },
    );
    await fc.assert(fc.asyncProperty(steps, assertOneTruth), { numRuns: 20, endOnFailure: true });
  });

  test("change nothing when one of them is stopped, and another is started in its place", async () => {
    const { visitor } = await logIn();
    for (let n = 0; n < INSTANCES; n++) await visitor.post(n, "/increment");
    assert.equal((await instances[1]!.server.stop("SIGTERM")).code, 0);
    for (const n of [0, 2]) assert.equal((await visitor.get(n, "/session")).json.session?.["page_views"], "4");
    instances[1] = await spawnServerWith({ after }, redis);
    for (let n = 0; n < INSTANCES; n++) {
      const { json } = await visitor.post(n, "/increment");
      assert.deepEqual([json.page_views, json.session?.["username"], json.configured_ttl], [5 + n, "ada", 600]);
    }
  });

  test("have nothing to complain about", () => {
    for (const { server } of instances) assert.equal(server.stderr(), "");
  });
});

type Action = "login" | "session" | "increment" | "ttl" | "rotate" | "logout";
const action = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Action>("increment") },
  { weight: 4, arbitrary: fc.constant<Action>("session") },
  { weight: 2, arbitrary: fc.constant<Action>("ttl") },
  { weight: 2, arbitrary: fc.constant<Action>("rotate") },
  { weight: 1, arbitrary: fc.constant<Action>("logout") },
  { weight: 1, arbitrary: fc.constant<Action>("login") },
);

interface Step {
  action: Action;
  instance: number;
  ttl: number;
}

interface Known {
  id: string;
  views: number;
  limit: number;
}

/** After every step, each instance tells of the session what the steps before it made of it. */
async function assertOneTruth(steps: Step[]): Promise<void> {
  const { visitor, id: first } = await logIn();
  const dead: string[] = [];
  let expected: Known | undefined = { id: first, views: 1, limit: 600 };
  for (const { action: next, instance, ttl } of steps) {
    const form = { username: "ada", ttl: String(ttl) };
    const { status, json }: Reply = await (next === "session"
      ? visitor.get(instance, "/session")
      : visitor.post(instance, `/${next}`, form));
    const isAnswered: boolean = expected !== undefined || ["login", "session", "logout"].includes(next);
    assert.equal(status, isAnswered ? 200 : 401);
    if (next === "login") {
      if (expected) dead.push(expected.id);
      expected = { id: json.session_id!, views: 1, limit: ttl };
    } else if (expected) {
      if (next === "increment") expected.views += 1;
      if (next === "ttl") expected.limit = ttl;
      if (next === "rotate" || next === "logout") dead.push(expected.id);
      if (next === "rotate") expected.id = json.session_id!;
      if (next === "logout") expected = undefined;
    }
    assert.equal(visitor.id, expected?.id);
    if (!expected) continue;
    const { id, views, limit }: Known = expected;
    for (const { session_id, session, configured_ttl } of await peekEverywhere(id)) {
      assert.deepEqual([session_id, session?.["page_views"], configured_ttl], [id, String(views), limit], next);
    }
  }
  assert.equal(new Set(dead).size, dead.length);
  await Promise.all(dead.map(assertDead));
}
