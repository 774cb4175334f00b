import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Browser, type Reply } from "../browser.ts";
import type { Lifetime } from "../child-process.ts";
import { spawnServerWith } from "../demo-process.ts";
import { SESSION_SCRIPT } from "../../session-store.ts";
import { parseReplies, sendRaw } from "../raw-http.ts";
import { DURABLE, type SpawnedRedis, spawnRedis } from "../redis-process.ts";
import { BUSY_SECOND_MS, until } from "../wait.ts";

const PASSWORD = "s3cret";
const USER = ["--user", "demo", "on", `>${PASSWORD}`, "~*", "&*", "+@all"];
const AT_ONCE = { concurrency: 6, timeout: 900_000 };

type Request = [method: "GET" | "POST", path: string, form?: Record<string, string>];

const WRITES: Request[] = [
  ["GET", "/healthz"],
  ["POST", "/login"],
  ["POST", "/increment"],
  ["POST", "/ttl", { ttl: "500" }],
  ["POST", "/rotate"],
];
const ALL: Request[] = [
  ...WRITES,
  ["GET", "/session"],
  ["GET", "/session?refresh=false"],
  ["GET", "/"],
  ["POST", "/logout"],
];

interface Outage {
  begin: (redis: SpawnedRedis) => unknown;
  end: (redis: SpawnedRedis) => unknown;
  refused: Request[];
  /** Commands that were sent meanwhile may still run later. */
  isLate?: true;
  /** The number of outages that the log may show: Redis may be usable for a moment in between. */
  troubles?: number;
}

const killed: Outage = { begin: ({ kill }) => kill(), end: ({ start }) => start(), refused: ALL };
const hung: Outage = { begin: ({ hang }) => hang(), end: ({ resume }) => resume(), refused: ALL, isLate: true };
const becomes = (refused: Request[], sick: string, well: string): Outage => ({
  begin: ({ send }) => send(...sick.split(" ")),
  end: ({ send }) => send(...well.split(" ")),
  refused,
});

const setPassword = ({ send }: SpawnedRedis, password: string) =>
  send("ACL", "SETUSER", "demo", "resetpass", `>${password}`);

let loaded: Promise<void> | undefined;
async function startSlowly({ send, kill, start }: SpawnedRedis) {
  await send("EVAL", "for i = 1, 12000 do redis.call('SET', 'filler:' .. i, i) end", "0");
  await kill();
  loaded = start(["--key-load-delay", "150"]);
  await until(async () => String(await send("PING").catch(String)).includes("LOADING"));
}

const outages: [what: string, outage: Outage][] = [
  ["is killed", killed],
  ["hangs", hung],
  ["is loading its data", { begin: startSlowly, end: () => loaded, refused: ALL, troubles: 3 }],
  [
    "no longer takes our password",
    {
      begin: async (redis) => {
        await setPassword(redis, "another");
        await redis.send("CLIENT", "KILL", "USER", "demo");
      },
      end: (redis) => setPassword(redis, PASSWORD),
      refused: ALL,
    },
  ],
  ["allows us nothing", becomes(ALL, "ACL SETUSER demo -@all", "ACL SETUSER demo +@all")],
  ["is out of memory", becomes(WRITES, "CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0")],
  [
    "has too few replicas to write",
    becomes(WRITES, "CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
  ],
  ["is a replica of nobody there", becomes(WRITES, "REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE")],
];

async function openDemo(t: Lifetime, args: string[] = []) {
  const redis = await spawnRedis(t, [...USER, ...args]);
  const demo = await spawnServerWith(t, redis, { user: `demo:${PASSWORD}@` });
  const logIn = async (username: string) => {
    const browser = new Browser(demo.url);
    const { status } = await browser.post("/login", { username, ttl: "600" });
    assert.equal(status, 200);
    return browser;
  };
  return { redis, ...demo, logIn };
}

async function timed<T>(action: () => Promise<T>): Promise<{ result: T; ms: number }> {
  const start = performance.now();
  const result = await action();
  return { result, ms: performance.now() - start };
}

const assertQuick = (ms: number, what: string) => assert.ok(ms < BUSY_SECOND_MS, `${what} took ${ms.toFixed()} ms`);

/** Every reply until then must be a 503. */
async function assertBack(browser: Browser, username: string) {
  const { ms } = await timed(async () => {
    const isBack = await until(async () => {
      const { status, setCookies, json } = await browser.get("/session");
      assert.deepEqual([status, setCookies], [status === 200 ? 200 : 503, []]);
      if (status === 200) assert.equal(json.session?.["username"], username);
      return status === 200;
    });
    assert.ok(isBack, "Redis cannot be used again");
  });
  assertQuick(ms, "to be back");
  assert.equal((await browser.get("/healthz")).status, 200);
}

describe("a Redis that is unavailable", AT_ONCE, () => {
  for (const [what, { begin, end, refused, isLate, troubles = 1 }] of outages) {
    test(`a Redis that ${what}`, async (t) => {
      const { redis, server, url, logIn } = await openDemo(t, DURABLE);
      const browser = await logIn("ada");
      const asked = await Promise.all(
        refused.flatMap((request) =>
          ["*/*", "text/html"].map(async (accept) => ({ request, accept, victim: await logIn("victim") })),
        ),
      );
      const secrets = [PASSWORD, browser.sessionId, ...asked.map(({ victim }) => victim.sessionId)];
      assert.equal((await browser.get("/healthz")).status, 200);
      await begin(redis);

      await t.test("means 503 within a second, as JSON and as a page, and leaves the cookie alone", async () => {
        for (const round of ["first", "second"]) {
          await Promise.all(
            asked.map(async ({ request: [method, path, form], accept, victim }) => {
              const body = method === "POST" ? { body: new URLSearchParams(form) } : {};
              const { result, ms } = await timed(() => victim.send(path, { method, headers: { accept }, ...body }));
              const request = `the ${round} ${method} ${path} for ${accept}`;
              assert.deepEqual([result.status, result.setCookies], [503, []], request);
              assert.match(result.headers.get("retry-after") ?? "", /^[1-9]\d*$/, request);
              assert.match(result.headers.get("content-type") ?? "", accept === "text/html" ? /html/ : /json/);
              assert.match(result.shown, /Redis/);
              assertQuick(ms, request);
            }),
          );
        }
      });

      await t.test("does not affect requests without a session", async () => {
        const visitor = new Browser(url);
        const { result, ms } = await timed(() =>
          Promise.all([
            visitor.get("/session"),
            visitor.get("/style.css"),
            visitor.get("/", { accept: "text/html" }),
            visitor.post("/increment"),
            visitor.get("/nothing"),
          ]),
        );
        assert.deepEqual(
          result.map(({ status }) => status),
          [200, 200, 200, 401, 404],
        );
        assertQuick(ms, "to serve them");
      });

      await t.test("is over soon after Redis can be used again, and every session is there", async () => {
        // The log names the reason once a check has found it. An outage that is over before that is only a refusal.
        assert.ok(await until(() => server.stderr().includes("unavailable")), server.stderr());
        await end(redis);
        await assertBack(browser, "ada");
      });

      if (!isLate)
        await t.test("leaves every session as it was", async () => {
          for (const { request, victim } of asked) {
            const { json } = await victim.get("/session");
            const left = [json.session?.["page_views"], json.configured_ttl];
            assert.deepEqual(left, ["1", 600], `after ${request[1]}`);
          }
        });

      await t.test(
        "is one clear line in the log, without a secret, and one more when Redis can be used again",
        async () => {
          await until(() => server.stderr().endsWith("Redis is back\n"));
          const log = server.stderr();
          assert.match(log, new RegExp(`^((Redis is unavailable: .*\\w.*\\n){1,2}Redis is back\\n){1,${troubles}}$`));
          for (const secret of secrets) assert.ok(!log.includes(secret), log);
        },
      );
    });
  }
});

/** Sends a request every 20 ms, whether or not earlier ones have a reply. */
async function underLoad(browser: Browser, whatHappens: () => Promise<unknown>) {
  const requests: Promise<{ result: Reply; ms: number }>[] = [];
  const load = setInterval(() => requests.push(timed(() => browser.get("/session"))), 20);
  try {
    await whatHappens();
  } finally {
    clearInterval(load);
  }
  return Promise.all(requests);
}

const FAULTS_UNDER_LOAD: [what: string, happens: (redis: SpawnedRedis) => Promise<unknown>][] = [
  [
    "hangs",
    async ({ hang, resume }) => {
      hang();
      await sleep(3000);
      resume();
    },
  ],
  [
    "hangs again and again",
    async ({ hang, resume }) => {
      for (let times = 0; times < 4; times++) {
        hang();
        await sleep(700);
        resume();
        await sleep(200);
      }
    },
  ],
  [
    "cuts every connection, again and again",
    async ({ send }) => {
      for (let times = 0; times < 20; times++) {
        await send("CLIENT", "KILL", "TYPE", "normal");
        await sleep(100);
      }
    },
  ],
];

describe("under a steady load", AT_ONCE, () => {
  for (const [what, happens] of FAULTS_UNDER_LOAD) {
    test(`no request waits longer than a second while Redis ${what}`, async (t) => {
      const { redis, logIn, server } = await openDemo(t);
      const browser = await logIn("ada");
      const replies = await underLoad(browser, async () => {
        await sleep(500);
        await happens(redis);
        await assertBack(browser, "ada");
      });
      const slowest = Math.max(...replies.map(({ ms }) => ms));
      const refused = replies.filter(({ result }) => result.status === 503);
      t.diagnostic(`${replies.length} requests, ${refused.length} × 503, slowest ${slowest.toFixed()} ms`);
      assertQuick(slowest, "the slowest");
      for (const { result } of replies) {
        assert.ok([200, 503].includes(result.status), result.text);
        assert.deepEqual(result.setCookies, []);
      }
      assert.ok(server.stderr().split("\n").length <= 60, server.stderr());
    });
  }

  for (const [what, { begin }] of [
    ["is killed", killed],
    ["hangs", hung],
  ] as const) {
    test(`4,000 requests leave nothing in memory while Redis ${what}`, async (t) => {
      const { redis, port, logIn, server } = await openDemo(t);
      const { sessionId } = await logIn("ada");
      await begin(redis);
      const request = `GET /session HTTP/1.1\nHost: x\nCookie: sid=${sessionId}\n`;
      const ask = async (count: number) => {
        const batch = `${`${request}\n`.repeat(99)}${request}Connection: close\n\n`;
        for (let sent = 0; sent < count; sent += 500) {
          const replies = await Promise.all(Array.from({ length: 5 }, () => sendRaw(port, batch)));
          const statuses = replies.flatMap((received) => parseReplies(received).map(({ status }) => status));
          assert.deepEqual(
            statuses,
            Array.from({ length: 500 }, () => 503),
          );
        }
      };
      await ask(2000); // the heap grows to its usual size
      const before = await residentMegabytes(server.pid);
      await ask(4000);
      const grown = (await residentMegabytes(server.pid)) - before;
      t.diagnostic(`${before.toFixed()} MB and ${grown.toFixed()} MB more`);
      assert.ok(grown < 9, `grew by ${grown} MB`); // a command that is kept is about 3 KB
    });
  }
});

async function residentMegabytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

describe("a Redis that is there", AT_ONCE, () => {
  test("a request without a session sends nothing to Redis", async (t) => {
    const { redis, browser } = await openDemo(t);
    await redis.send("CONFIG", "RESETSTAT");
    for (const path of ["/session", "/", "/style.css", "/page.js", "/nothing"]) await browser.get(path);
    for (const path of ["/increment", "/ttl", "/rotate", "/logout"]) await browser.post(path, { ttl: "5" });
    const stats = String(await redis.send("INFO", "commandstats"));
    const commands = Array.from(stats.matchAll(/cmdstat_(\w+)/g), ([, command]) => command!);
    const ofTheConnection = new Set(["ping", "hello", "auth", "client", "info", "config"]);
    assert.deepEqual(
      commands.filter((command) => !ofTheConnection.has(command)),
      [],
    );
  });

  test("a Redis that loses its scripts still serves every session", async (t) => {
    const { redis, logIn, server } = await openDemo(t);
    const browser = await logIn("ada");
    await redis.send("SCRIPT", "FLUSH");
    const { status, json } = await browser.post("/increment");
    assert.deepEqual([status, json.page_views, json.session?.["page_views"]], [200, 2, "2"]);
    assert.equal(server.stderr(), "");
  });

  test("a Redis that comes back empty ends the sessions, and new ones can be created", async (t) => {
    const { redis, url, server, logIn } = await openDemo(t);
    const browsers = await Promise.all(["ada", "bob", "eve"].map(logIn));
    await redis.kill();
    await redis.start();
    assert.ok(
      await until(async () => (await new Browser(url).get("/healthz")).status === 200),
      "Redis cannot be used again",
    );
    const [read, write, open] = await Promise.all([
      browsers[0]!.get("/session"),
      browsers[1]!.post("/increment"),
      browsers[2]!.get("/", { accept: "text/html" }),
    ]);
    assert.deepEqual([read.status, read.json], [200, { authenticated: false, session: null }]);
    assert.deepEqual([write.status, write.json], [401, { error: "Session expired" }]);
    assert.equal(open.status, 200);
    assert.deepEqual([read.setCookies, write.setCookies], [[], []]);
    assert.match(String(open.setCookies), /^sid=; Max-Age=0/);
    for (const browser of browsers) {
      assert.equal((await browser.post("/login")).status, 200);
      assert.equal((await browser.post("/increment")).json.page_views, 2);
    }
    await until(() => server.stderr().includes("back"));
    assert.match(server.stderr(), /^Redis is unavailable: .+\nRedis is back\n$/);
  });

  test("has the scripts cached before the first request", async (t) => {
    const own = await spawnRedis(t);
    await spawnServerWith(t, own);
    const isCached = async () => String(await own.send("SCRIPT", "EXISTS", SESSION_SCRIPT.sha1)) === "1";
    assert.ok(await isCached());
    await own.kill();
    await own.start();
    assert.ok(await until(isCached));
  });
});
