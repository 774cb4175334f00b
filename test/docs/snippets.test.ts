import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { compileFunction } from "node:vm";
import { connectRedis, type RedisConnection } from "../../redis-connection/index.ts";
import { headerJar, RequestSession, SessionCookie } from "../../session-cookie.ts";
import { RedisSessionStore } from "../../session-store.ts";
import { UserSessions } from "../../user-sessions.ts";
import { openServer } from "../redis-connection.ts";
import { spawnRedis } from "../redis-process.ts";
import { newPrefix, NO_HURRY } from "../store-under-test.ts";
import { until } from "../wait.ts";

const { redis } = await openServer();
const fields = { username: String, cart_items: Number, notice: String };
/** The TypeScript blocks of a page. */
async function blocksOf(page: string): Promise<{ heading: string; code: string }[]> {
  const text = await readFile(page, "utf8");
  return text.split(/^## /m).flatMap((section) => {
    const heading = section.split("\n", 1)[0]!;
    return Array.from(section.matchAll(/```ts\n(.*?)```/gs), ([, code]) => ({ heading, code: code! }));
  });
}

/** Runs code with these variables and without its imports, and returns the variables that it declares and `names` names. */
async function runCode(code: string, variables: object, names: string[] = []): Promise<Record<string, unknown>> {
  const body = `return (async () => { ${code.replaceAll(/^import .*$/gm, "")} return { ${names.join()} }; })()`;
  const all = { RedisSessionStore, RequestSession, SessionCookie, UserSessions, redis, ...variables };
  return compileFunction(body, Object.keys(all))(...Object.values(all)) as Promise<Record<string, unknown>>;
}

async function run(heading: string, variables: object, names: string[] = []): Promise<Record<string, unknown>> {
  const block = (await blocksOf("docs/faq.md")).find((each) => each.heading === heading);
  assert.ok(block, `docs/faq.md has no code under "${heading}"`);
  return runCode(block.code, variables, names);
}

function openSession() {
  const store = new RedisSessionStore({ redis, prefix: newPrefix(), fields, ...NO_HURRY });
  const setCookies: string[] = [];
  const jar = headerJar(undefined, (setCookie) => setCookies.push(setCookie));
  const session = new RequestSession(store, new SessionCookie(), jar);
  return { store, jar, session, setCookies };
}

describe("the code in the questions", () => {
  test("keeps an object", async () => {
    assert.deepEqual(await run("How do I keep an object?", {}, ["cart"]), { cart: ["apple", "pear"] });
  });

  test("remembers a user for a month, or until the browser is closed", async () => {
    for (const [remember, ttl, maxAge] of [
      [true, 2_592_000, "; Max-Age=2592000"],
      [false, 1800, ""],
    ] as const) {
      const { store, jar, setCookies } = openSession();
      const variables = { store, jar, remember, username: "andrew" };
      const { session } = await run('How do I do "remember me"?', variables, ["session"]);
      const id = (session as RequestSession<object, object, object>).id!;
      assert.equal(await store.getConfiguredTtl(id), ttl);
      assert.deepEqual(setCookies, [`__Host-sid=${id}${maxAge}; Path=/; HttpOnly; Secure; SameSite=Lax`]);
    }
  });

  test("keeps the cart of a visitor", async () => {
    const { session } = openSession();
    await run("Can a visitor who is not logged in have a session?", { session, username: "andrew" });
    const { username, cart_items } = (await session.read())!;
    assert.deepEqual([username, cart_items], ["andrew", 1]);
  });

  test("shows a message once", async () => {
    const { session } = openSession();
    const variables = { session };
    assert.deepEqual(await run("How do I show a message after a redirect?", variables, ["notice"]), {
      notice: "Saved.",
    });
    assert.equal((await session.read())?.notice, undefined);
  });

  test("gives a test keys of its own", async () => {
    const { store } = await run("How do I test an application that uses it?", {}, ["store"]);
    assert.match((store as RedisSessionStore).keyOf("id"), /^test:[0-9a-f-]{36}:id$/);
  });

  test("makes a jar of the cookies of Next", async () => {
    const { store } = openSession();
    const cookie = new SessionCookie();
    const values = new Map<string, string>();
    const cookies = async () => ({
      get: (name: string) => (values.has(name) ? { name, value: values.get(name) } : undefined),
      set: (name: string, value: string) => void values.set(name, value),
    });
    const variables = { store, cookie, cookies };
    const first = (await run("And with React?", variables, ["session"])) as {
      session: RequestSession<{ notice: string }, { notice?: string }, object>;
    };
    await first.session.write({ notice: "Saved." });
    const second = (await run("And with React?", variables, ["session"])) as typeof first;
    assert.equal((await second.session.read())?.notice, "Saved.");
  });
});

test("the code that rotates a session and ends all others of its user does both", async () => {
  const store = new UserSessions({ redis, prefix: newPrefix(), ...NO_HURRY });
  const [id] = await Promise.all([1, 2, 3].map(async () => store.createSession({}, { user: "42" })));
  const rotation = (await blocksOf("docs/user-sessions.md")).find(({ code }) => code.includes("rotateSession("));
  const { newId } = await runCode(rotation!.code, { store, id }, ["newId"]);
  const sessions = await store.listSessions("42");
  assert.deepEqual(
    sessions.map(({ handle }) => handle),
    [store.handleOf(newId as string)],
  );
});

test("the code that does not wait for Redis at the start rejects at once, until Redis is there", async (t) => {
  const server = await spawnRedis(t);
  await server.kill();
  t.mock.method(console, "error", () => {});
  const start = (await blocksOf("docs/production.md")).find(({ code }) => code.includes('"continue"'));
  const variables = { connectRedis, REDIS_URL: `redis://127.0.0.1:${server.port}` };
  const { redis: connection } = await runCode(start!.code, variables, ["redis"]);
  t.after(() => (connection as RedisConnection).close());
  const store = new RedisSessionStore({ redis: connection as RedisConnection });
  await assert.rejects(store.createSession(), { code: "REDIS_UNAVAILABLE" });
  await server.start();
  const isUsable = () =>
    store.createSession().then(
      () => true,
      () => false,
    );
  assert.ok(await until(isUsable));
});

test("the code of the API returns what its comments say", async () => {
  const api = (await blocksOf("README.md")).find(({ heading }) => heading === "API");
  const { id, session, views, deleted } = await runCode(api!.code, {}, ["id", "session", "views", "deleted"]);
  const { username, page_views } = session as Record<string, unknown>;
  assert.match(String(id), /^[\w-]{43}$/);
  assert.deepEqual([username, page_views, views, deleted], ["andrew", 0, 1, true]);
});
