import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { after, describe, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Browser, type Reply } from "../browser.ts";
import { spawnServerWith } from "../demo-process.ts";
import { parseReplies, type RawReply } from "../raw-http.ts";
import { spawnRedis } from "../redis-process.ts";
import { BUSY_SECOND_MS, until } from "../wait.ts";

const AT_ONCE = { concurrency: 8, timeout: 900_000 };
const ONE_BY_ONE = { timeout: 900_000 }; // more connections at once than the kernel queues would wait for it
const FORM = "application/x-www-form-urlencoded";
const PAGE = { accept: "text/html" };

const redis = await spawnRedis({ after });
const { server, port, url } = await spawnServerWith({ after }, redis);

const newBrowser = () => new Browser(url);

async function logIn() {
  const browser = newBrowser();
  const reply = await replyOfRedis(() => browser.post("/login", { username: "ada", ttl: "600" }));
  assert.equal(reply.status, 200, reply.text);
  return browser;
}

/** Asks again while the reply is a 503: on a busy machine Redis may miss a check. */
async function replyOfRedis(ask: () => Promise<Reply>): Promise<Reply> {
  let reply = await ask();
  await until(async () => reply.status !== 503 || (reply = await ask()).status !== 503);
  return reply;
}

/** A client that hangs up when it wants, and not when the server does. */
function open(t: TestContext): Socket {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  t.after(() => socket.destroy());
  return socket.on("error", () => {}).setEncoding("latin1");
}

/** What the server sends until it ends the connection. */
async function received(socket: Socket): Promise<RawReply[]> {
  return parseReplies(await text(socket));
}

/** How many of these connections the server holds, and how many wait for it to take them. */
async function countOnServer(sockets: Socket[]): Promise<{ held: number; waiting: number }> {
  const ports = new Set(sockets.map(({ localPort }) => localPort));
  const rows = (await readFile("/proc/net/tcp", "utf8")).trim().split("\n").slice(1);
  const counts = { held: 0, waiting: 0 };
  for (const row of rows) {
    const [, local = "", remote = "", state = "", , , , , , inode] = row.trim().split(/\s+/);
    if (portIn(local) !== port || !ports.has(portIn(remote))) continue;
    if (inode !== "0") counts.held += 1;
    else if (state === ESTABLISHED) counts.waiting += 1;
  }
  return counts;
}

const ESTABLISHED = "01";
const portIn = (address: string) => Number.parseInt(address.split(":")[1] ?? "", 16);

/** Never more at a time than the kernel queues: it forgets those beyond that, and does not tell a silent client. */
async function openMany(t: TestContext, count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const some = Array.from({ length: 100 }, () => open(t));
    await Promise.all(some.map((socket) => once(socket, "connect")));
    assert.ok(await until(async () => (await countOnServer(some)).waiting === 0), "not accepted");
    sockets.push(...some);
  }
  return sockets;
}

async function assertServesOthers() {
  const start = performance.now();
  const browser = await logIn();
  const { status, json } = await replyOfRedis(() => browser.post("/increment"));
  assert.equal(status, 200);
  assert.ok(Number(json.page_views) >= 2);
  const ms = performance.now() - start;
  assert.ok(ms < BUSY_SECOND_MS, `others waited ${ms.toFixed()} ms`);
}

function assertGuarded({ status, headers }: { status: number; headers: Headers }) {
  const what = `${status} ${JSON.stringify(Object.fromEntries(headers))}`;
  assert.match(headers.get("content-security-policy") ?? "", /default-src 'none'.*frame-ancestors 'none'/, what);
  assert.equal(headers.get("x-content-type-options"), "nosniff", what);
  assert.ok(headers.has("referrer-policy"), what);
  assert.equal(headers.get("cache-control"), "no-store", what);
}

describe("a request that is refused before it is whole", AT_ONCE, () => {
  const HEAD = "GET /session HTTP/1.1\r\nHost: x\r\n";
  const refusals: [what: string, request: string, status: number][] = [
    ["a header of 20 KB", `${HEAD}X: ${"x".repeat(20_000)}\r\n\r\n`, 431],
    ["500 headers of 100 bytes", `${HEAD}${`X: ${"x".repeat(95)}\r\n`.repeat(500)}\r\n`, 431],
    ["a cookie of 20 KB", `${HEAD}Cookie: sid=${"x".repeat(20_000)}\r\n\r\n`, 431],
    ["an address of 20 KB", `GET /${"x".repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431],
    ["no HTTP", "nonsense\r\n\r\n", 400],
    ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400],
    ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400],
    ["no Host", "GET /session HTTP/1.1\r\n\r\n", 400],
    [
      "a chunk that is none",
      `POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: ${FORM}\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n`,
      400,
    ],
  ];
  for (const [what, request, expected] of refusals) {
    test(`gets ${expected} with the security headers, and others are served: ${what}`, async (t) => {
      const socket = open(t);
      socket.write(request, "latin1");
      socket.end();
      const [reply, ...more] = await received(socket);
      assert.deepEqual([reply?.status, more], [expected, []]);
      assertGuarded(reply!);
      assert.match(String((JSON.parse(reply!.body) as { error: unknown }).error), /^[A-Z].*\.$/);
      await assertServesOthers();
    });
  }

  test("or taken for what it asks, carries the security headers: an expectation that nobody meets", async (t) => {
    const socket = open(t);
    socket.write(`${HEAD}Connection: close\r\nExpect: miracles\r\n\r\n`);
    const [reply] = await received(socket);
    assertGuarded(reply!);
  });

  test("gets its reply also if it is a HEAD whose body never comes", async (t) => {
    const socket = open(t);
    socket.write("HEAD /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n");
    assert.match(await text(socket), /^HTTP\/1\.1 404 /);
  });

  test("may have headers of 15 KB", async () => {
    const { status } = await newBrowser().get("/session", { cookie: `other=${"x".repeat(15_000)}` });
    assert.equal(status, 200);
  });
});

describe("a body", AT_ONCE, () => {
  for (const [how, framing] of [
    ["with its length", "Content-Length: 5000000"],
    ["in chunks", "Transfer-Encoding: chunked"],
  ] as const) {
    test(`of 5 MB ${how} gets 413, which a client reads that first sends all of it`, async (t) => {
      const part = "x".repeat(20_000);
      const sent = framing.startsWith("T") ? `${part.length.toString(16)}\r\n${part}\r\n` : part;
      const body = sent.repeat(250) + (sent === part ? "" : "0\r\n\r\n");
      let reply: RawReply | undefined;
      const isRead = async () => {
        const socket = open(t);
        const replies = received(socket).catch(() => []); // a busy client may take longer than the server waits
        socket.end(`POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: ${FORM}\r\n${framing}\r\n\r\n${body}`);
        [reply] = await replies;
        return reply !== undefined;
      };
      assert.ok(await until(isRead));
      assert.equal(reply?.status, 413);
      assertGuarded(reply);
    });
  }

  for (const connection of ["close", "keep-alive"]) {
    test(`of 5 MB gets 413 by way of fetch with Connection: ${connection}, as JSON and as a page`, async () => {
      for (const type of [{}, PAGE]) {
        const headers = { ...type, "content-type": FORM, connection };
        for (let times = 0; times < 20; times++) {
          const reply = await fetch(`${url}/login`, { method: "POST", headers, body: "x".repeat(5_000_000) });
          assert.equal(reply.status, 413);
          await reply.text();
        }
      }
    });
  }

  test("without an end gets 413, and the connection is ended soon", async (t) => {
    const socket = open(t);
    const replies = received(socket).catch(() => []); // who does not stop sending may miss the reply
    socket.write(`POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: ${FORM}\r\nContent-Length: 9000000000\r\n\r\n`);
    const sending = setInterval(() => socket.write("x".repeat(10_000)), 5);
    t.after(() => clearInterval(sending));
    const isOver = await Promise.race([replies.then(() => true), sleep(1000 + BUSY_SECOND_MS, false)]);
    assert.equal(isOver, true);
  });
});

describe("a client that takes its time", AT_ONCE, () => {
  const slow: [what: string, head: string, limit: number][] = [
    ["header", "GET /session HTTP/1.1\r\nHost: ", 6000],
    ["form", `POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: ${FORM}\r\nContent-Length: 1000\r\n\r\n`, 11_000],
  ];
  for (const [what, head, limit] of slow) {
    test(`over its ${what}, a byte a second, gets 408 and its connection is ended; others are served`, async (t) => {
      const start = performance.now();
      const socket = open(t);
      socket.write(head);
      const dripping = setInterval(() => socket.write("x"), 1000);
      t.after(() => clearInterval(dripping));
      const replies = received(socket);
      await assertServesOthers();
      const [reply] = await replies;
      const ms = performance.now() - start;
      assert.equal(reply?.status, 408);
      assertGuarded(reply);
      assert.ok(ms < limit + BUSY_SECOND_MS, `ended after ${ms.toFixed()} ms`);
    });
  }

  test("is one of 1,000 that say nothing: others are served, and all are ended", async (t) => {
    const silent = await openMany(t, 1000);
    const ends = silent.map((socket) => text(socket));
    const start = performance.now();
    await assertServesOthers();
    await Promise.all(ends);
    const ms = performance.now() - start;
    assert.ok(ms < 6000 + BUSY_SECOND_MS, `ended after ${ms.toFixed()} ms`);
    await assertServesOthers();
  });

  for (const [what, request] of [
    ["was refused", "nonsense\r\n\r\n"],
    ["asked to be the last", "GET /session HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"],
    ["asked once", "GET /session HTTP/1.1\r\nHost: x\r\n\r\n"],
    ["said nothing", ""],
  ] as const) {
    test(`to hang up holds no socket of the server for long, where it ${what}`, async (t) => {
      const clients = await openMany(t, 300);
      for (const socket of clients) socket.resume().write(request);
      await Promise.all(clients.map((socket) => once(socket, "end")));
      const held = async () => (await countOnServer(clients)).held;
      assert.ok(await until(async () => (await held()) === 0), `${await held()} of 300 are held`);
    });
  }
});

describe("a client that goes away", ONE_BY_ONE, () => {
  const login = `POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: ${FORM}\r\nContent-Length: 100\r\n\r\nusername=gone`;
  const page = "GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n";
  for (const [when, request] of [
    ["in the middle of a header", "GET /session HTTP/1.1\r\nHo"],
    ["in the middle of a form", login],
    ["before its reply", page],
    ["before any of its twenty replies", page.repeat(20)],
  ] as const) {
    for (const [how, leave] of [
      ["politely", (socket: Socket) => socket.end()],
      ["with a reset", (socket: Socket) => socket.resetAndDestroy()],
    ] as const) {
      test(`${when}, ${how}, is no trouble to anybody, a hundred times over`, async (t) => {
        await Promise.all(
          Array.from({ length: 100 }, async (_, i) => {
            const socket = open(t);
            await once(socket, "connect");
            socket.write(request);
            await sleep(i % 10);
            leave(socket.resume());
          }),
        );
        await assertServesOthers();
        const script = `local found = 0
          for _, key in ipairs(redis.call("KEYS", "session:" .. string.rep("?", 43))) do
            if redis.call("HGET", key, "username") == "gone" then found = found + 1 end
          end
          return found`;
        assert.equal(await redis.send("EVAL", script, "0"), 0);
      });
    }
  }
});

test("after all of this the log holds no error, and the server ends as it should", async () => {
  await assertServesOthers();
  const { code, stderr } = await server.stop("SIGTERM");
  assert.equal(code, 0);
  assert.match(stderr, /^(Redis is (unavailable: .+|back)\n)*$/); // on a busy machine Redis may miss a check
});
