import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { after, describe, test } from "node:test";
import { createClient } from "redis";
import { createApp } from "../../demo/app.ts";
import { createHttpServer } from "../../demo/http/http-server.ts";
import { handleRequest } from "../../demo/routes/handle-request.ts";
import { RedisSessionStore } from "../../session-store.ts";
import { FOR_THE_DEMO, PASSWORD, RULES, USER, WITH_A_DATABASE } from "../redis-acl.ts";
import { Browser } from "../browser.ts";
import { spawnServerWith } from "../demo-process.ts";
import { connectPatiently } from "../redis-connection.ts";
import { spawnRedis } from "../redis-process.ts";
import { NO_HURRY } from "../store-under-test.ts";

const COMMANDS = RULES.filter((rule) => rule.startsWith("+")).map((rule) => rule.slice(1));
const OF_EVERYBODY = ["auth", "hello", "quit", "reset"];

const redis = await spawnRedis({ after });
const setUser = (name: string, rules: string[]) => redis.send("ACL", "SETUSER", name, "on", `>${PASSWORD}`, ...rules);
await setUser(USER, RULES);

/** A store as this user, for as long as the action takes. */
async function asUser<Result>(
  username: string,
  action: (store: RedisSessionStore, send: (...command: string[]) => Promise<unknown>) => Promise<Result>,
): Promise<Result> {
  const socket = { host: "127.0.0.1", port: redis.port, reconnectStrategy: false } as const;
  const client = createClient({ username, password: PASSWORD, socket }).on("error", () => {}); // each command says so
  await client.connect();
  try {
    return await action(new RedisSessionStore({ redis: client, ...NO_HURRY }), (...command) =>
      client.sendCommand(command),
    );
  } finally {
    client.destroy();
  }
}

const operations: [name: string, run: (store: RedisSessionStore, id: string) => Promise<unknown>, result: unknown][] = [
  ["getSession", async (store, id) => (await store.getSession(id))?.["username"], "ada"],
  [
    "getSession within a second of the last use, with little time left",
    async (store, id) => {
      await redis.send("EXPIRE", store.keyOf(id), "20");
      await redis.send("HSET", store.keyOf(id), "last_accessed_at", "9999-12-31T23:59:59Z"); // however slow this machine is
      return Number((await store.getSession(id))?.ttl) > 20;
    },
    true,
  ],
  ["getSession, a peek", async (store, id) => (await store.getSession(id, { refreshTtl: false }))?.["username"], "ada"],
  ["updateSession", (store, id) => store.updateSession(id, { username: "grace", theme: null }), true],
  ["incrementField", (store, id) => store.incrementField(id, "page_views", 2), 3],
  ["setSessionTtl", (store, id) => store.setSessionTtl(id, 600), true],
  ["getTtl", async (store, id) => (await store.getTtl(id))! > 20, true],
  ["getConfiguredTtl", (store, id) => store.getConfiguredTtl(id), 500],
  [
    "rotateSession",
    async (store, id) => (await store.getSession((await store.rotateSession(id))!))?.["username"],
    "ada",
  ],
  ["deleteSession", (store, id) => store.deleteSession(id), true],
];

const requests: [method: "GET" | "POST", path: string, status: number][] = [
  ["POST", "/login", 200],
  ["GET", "/", 200],
  ["GET", "/session", 200],
  ["GET", "/session?refresh=false", 200],
  ["POST", "/increment", 200],
  ["POST", "/ttl", 200],
  ["POST", "/rotate", 200],
  ["GET", "/sessions", 200],
  ["POST", "/sessions/end", 404],
  ["POST", "/sessions/end-others", 200],
  ["GET", "/healthz", 200],
  ["POST", "/logout", 200],
  ["POST", "/increment", 401],
];

const RACE: typeof requests = [["POST", "/race", 200]];

/** Every route but the race lab's, for a program and for a browser, whose forms lead back to the page. */
async function requestsThatFail(url: string, sent = requests): Promise<string[]> {
  const failures: string[] = [];
  for (const accept of ["*/*", "text/html"]) {
    const browser = new Browser(url);
    for (const [method, path, status] of sent) {
      const body = method === "POST" ? { body: new URLSearchParams({ username: "ada", ttl: "500", rounds: "1" }) } : {};
      const reply = await browser.send(path, { method, headers: { accept }, ...body });
      const expected = method === "POST" && accept === "text/html" && status === 200 ? 303 : status;
      if (reply.status !== expected) failures.push(`${method} ${path} for ${accept}: ${reply.status}`);
    }
  }
  return failures;
}

/** The same with a demo in this process, which is soon there and soon gone. */
async function requestsThatFailAs(username: string, { database = 0, sent = requests } = {}): Promise<string[]> {
  const login = { username, password: PASSWORD, database };
  const connection = await connectPatiently({ host: "127.0.0.1", port: redis.port, ...login });
  const { signal: stopping } = new AbortController();
  const storeSettings = { ttl: 60, absoluteTtl: 2_592_000, ...NO_HURRY };
  const app = createApp({
    redis: connection,
    redisAddress: connection.address,
    ping: () => connection.ping(),
    storeSettings,
    isCookieSecure: false,
  });
  const server = createHttpServer((...request) => handleRequest(app, ...request), stopping);
  try {
    await once(server.listen(0, "127.0.0.1"), "listening");
    return await requestsThatFail(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, sent);
  } finally {
    server.close();
    server.closeAllConnections();
    await connection.close();
  }
}

async function operationsThatFail(username: string): Promise<string[]> {
  return asUser(username, async (store) => {
    const failures: string[] = [];
    for (const [name, run, expected] of operations) {
      const result = await store
        .createSession({ username: "ada", page_views: 1 }, { ttl: 500 })
        .then((id) => run(store, id))
        .catch((error: Error) => error.message);
      if (result !== expected) failures.push(`${name}: ${String(result)}`);
    }
    return failures;
  });
}

/** On a server that has not seen the script, so that both ways to run it are taken. */
async function whatFails(username: string): Promise<string[]> {
  await redis.send("SCRIPT", "FLUSH");
  const failures = await operationsThatFail(username);
  return failures.length > 0 ? failures : requestsThatFailAs(username);
}

describe("the user that the README gives to the store", { timeout: 900_000 }, () => {
  test("is given commands, one pattern of keys and no more", () => {
    const others = RULES.filter((rule) => !rule.startsWith("+"));
    assert.deepEqual(others, ["~session:*", "resetchannels", "-@all"]);
    assert.ok(COMMANDS.length > 5);
    assert.equal(new Set(COMMANDS).size, COMMANDS.length);
  });

  test("is enough for every operation of the store and every route of the demo but its race lab", async () => {
    assert.deepEqual(await whatFails(USER), []);
  });

  test("is enough for the demo in a process of its own, whether or not Redis knows the script", async (t) => {
    await redis.send("SCRIPT", "FLUSH");
    const { server, url } = await spawnServerWith(t, redis, { user: `${USER}:${PASSWORD}@` });
    assert.deepEqual(await requestsThatFail(url), []);
    await redis.send("SCRIPT", "FLUSH");
    assert.deepEqual(await requestsThatFail(url), []);
    const { code, stderr } = await server.stop("SIGTERM");
    assert.deepEqual([code, stderr], [0, ""]);
  });

  for (const rule of RULES.filter((one) => /^[+~]/.test(one))) {
    test(`needs ${rule}`, async () => {
      const username = `without-${rule.slice(1).replaceAll(/\W/g, "")}`;
      await setUser(
        username,
        RULES.filter((other) => other !== rule),
      );
      assert.notDeepEqual(await whatFails(username), []);
    });
  }

  test("needs more where the URL names a database, and no more than that", async () => {
    await assert.rejects(requestsThatFailAs(USER, { database: 3 }), /NOPERM.*select/);
    await setUser("with-database", [...RULES, ...WITH_A_DATABASE]);
    assert.deepEqual(await requestsThatFailAs("with-database", { database: 3 }), []);
  });

  test("needs more for the race lab of the demo", async () => {
    assert.deepEqual((await requestsThatFailAs(USER, { sent: RACE })).length, 2);
    for (const rules of [FOR_THE_DEMO, ...FOR_THE_DEMO.map((rule) => [rule])]) {
      await setUser(`with${rules.join("").replaceAll("+", "-")}`, [...RULES, ...rules]);
      const failures = await requestsThatFailAs(`with${rules.join("").replaceAll("+", "-")}`, { sent: RACE });
      assert.equal(failures.length, rules === FOR_THE_DEMO ? 0 : 2);
    }
  });

  test("may run no other command", async () => {
    const all = (await redis.send("COMMAND", "LIST")) as string[];
    const families = new Set(all.filter((name) => name.includes("|")).map((name) => name.split("|")[0]!));
    const allowed: string[] = [];
    for (const command of all.filter((name) => !families.has(name))) {
      const [[, arity]] = (await redis.send("COMMAND", "INFO", command)) as [[string, number]];
      const words = command.split("|");
      const args = Array.from({ length: Math.abs(arity) - words.length }, () => "session:1");
      const verdict = String(await redis.send("ACL", "DRYRUN", USER, ...words, ...args));
      if (!verdict.includes("has no permissions to run")) allowed.push(command);
    }
    assert.deepEqual(new Set(allowed), new Set([...COMMANDS, ...OF_EVERYBODY]));
  });

  const forbidden: string[][] = [
    ["GET", "session:1"],
    ["SET", "session:1", "mine"],
    ["PERSIST", "session:1"],
    ["KEYS", "*"],
    ["SCAN", "0"],
    ["CONFIG", "GET", "*"],
    ["FLUSHALL"],
    ["SHUTDOWN"],
    ["ACL", "LIST"],
    ["CLIENT", "LIST"],
    ["SELECT", "1"],
    ["PUBLISH", "channel", "message"],
    ["HGETALL", "other:1"],
    ["HSET", "other:1", "field", "value"],
    ["DEL", "other:1"],
    ["EVAL", "return 1", "1", "other:1"],
    ["EVAL", "return redis.call('HGETALL', 'other:1')", "0"],
    ["EVAL", "return redis.call('GET', KEYS[1])", "1", "session:1"],
    ["EVAL", "return redis.call('KEYS', '*')", "0"],
  ];
  const REFUSED = /NOPERM|The user executing the script can't (run|access)|ACL failure in script/; // 7.0; 8.0 and Valkey
  for (const command of forbidden) {
    test(`is refused ${command.join(" ")}`, async () => {
      await asUser(USER, async (_store, send) => {
        await assert.rejects(send(...command), REFUSED);
      });
    });
  }

  test("loses what it may have had before", async () => {
    await redis.send("ACL", "SETUSER", "grown", "on", "+@all", "allchannels");
    await setUser("grown", RULES);
    const rightsOf = async (name: string) => {
      const { commands, keys, channels } = (await redis.send("ACL", "GETUSER", name)) as Record<string, unknown>;
      return { commands, keys, channels };
    };
    assert.deepEqual(await rightsOf("grown"), await rightsOf(USER));
  });
});
