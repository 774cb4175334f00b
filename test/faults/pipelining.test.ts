import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { after, describe, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { text } from "node:stream/consumers";
import { Browser } from "../browser.ts";
import { spawnServerWith } from "../demo-process.ts";
import { parseReplies } from "../raw-http.ts";
import { spawnRedis } from "../redis-process.ts";
import { until } from "../wait.ts";

const LIMITS = { timeout: 900_000 };
const PAGE = "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n";
const LAST = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

const redis = await spawnRedis({ after });
// With a small heap, V8 frees memory early, and a server that holds too much is out of memory.
const environment = { NODE_OPTIONS: "--max-old-space-size=96" };
const { server, port, url } = await spawnServerWith({ after }, redis, { environment });

function open(t: TestContext): Socket {
  const socket = connect({ port, host: "127.0.0.1" })
    .on("error", () => {})
    .setEncoding("latin1");
  t.after(() => socket.destroy());
  return socket;
}

/** The replies to these requests, sent in one piece. */
async function repliesTo(t: TestContext, requests: string) {
  const socket = open(t);
  socket.write(requests);
  return parseReplies(await text(socket));
}

/** On a busy machine, this process may be too slow to send a whole request in five seconds. */
const TOO_SLOW = 408;

async function logIn(ttl = "600"): Promise<Browser> {
  const browser = new Browser(url);
  const { status } = await browser.post("/login", { username: "ada", ttl });
  if (status === TOO_SLOW) return logIn(ttl);
  assert.equal(status, 200);
  return browser;
}

function requestOf(browser: Browser, line: string): string {
  return `${line} HTTP/1.1\r\nHost: localhost\r\nCookie: sid=${browser.sessionId}\r\nContent-Length: 0\r\n\r\n`;
}

/** Asks for a session at least once, and then over and over until that time. Returns the statuses. */
async function visitUntil(isOver: Promise<unknown>) {
  const browser = await logIn();
  const statuses: number[] = [];
  const over = isOver.then(() => true);
  do statuses.push((await browser.get("/session")).status);
  while (!(await Promise.race([over, sleep(25, false)])));
  return statuses.filter((status) => status !== TOO_SLOW);
}

async function memoryOfServer(): Promise<number> {
  return Number(/^VmRSS:\s+(\d+)/m.exec(await readFile(`/proc/${server.pid}/status`, "utf8"))![1]);
}

describe("pipelined requests", LIMITS, () => {
  test("see the writes of those before them", async (t) => {
    const browser = await logIn();
    const pair = requestOf(browser, "POST /increment") + requestOf(browser, "GET /session");
    const replies = await repliesTo(t, pair.repeat(50) + LAST);
    const views = replies.slice(0, 100).map(({ body }) => Number(/"page_views":"(\d+)"/.exec(body)?.[1]));
    assert.deepEqual(
      views,
      Array.from({ length: 100 }, (_, i) => 2 + Math.floor(i / 2)),
    );
  });

  test("find no session after a log-out", async (t) => {
    for (let round = 0; round < 20; round++) {
      const browser = await logIn();
      const requests = requestOf(browser, "POST /logout") + requestOf(browser, "GET /session") + LAST;
      const [, session] = await repliesTo(t, requests);
      assert.deepEqual(JSON.parse(session!.body), { authenticated: false, session: null });
    }
  });

  test("get all replies in order, 3,000 in one piece", async (t) => {
    const paths = ["/session", "/style.css", "/nothing"];
    const piece = paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).join("");
    const replies = await repliesTo(t, piece.repeat(1000) + LAST);
    assert.equal(replies.length, 3001);
    for (const [i, { status }] of replies.slice(0, -1).entries()) assert.equal(status, i % 3 === 2 ? 404 : 200);
  });

  test("have their bodies read, however they are cut", async (t) => {
    const form = "username=ada&ttl=30";
    const logInRequest = `POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${form.length}\r\n\r\n${form}`;
    const requests = `${PAGE}${logInRequest}`.repeat(5) + LAST;
    const socket = open(t);
    const replies = text(socket);
    for (let at = 0; at < requests.length; at += 37) {
      socket.write(requests.slice(at, at + 37));
      await sleep(1);
    }
    const statuses = parseReplies(await replies).map(({ status }) => status);
    assert.deepEqual(
      statuses,
      Array.from({ length: 11 }, () => 200),
    );
  });

  test("get their replies before the one to what is no request", async (t) => {
    const requests = `${requestOf(await logIn(), "POST /increment")}GET /session HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\n`;
    const statuses = (await repliesTo(t, requests)).map(({ status }) => status);
    assert.deepEqual(statuses, [200, 200, 400]);
  });

  test("are not handled after a reply that closes the connection", async (t) => {
    const browser = await logIn();
    const closing = requestOf(browser, "POST /increment").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    const replies = await repliesTo(t, closing + requestOf(browser, "POST /increment").repeat(5));
    assert.equal(replies.length, 1);
    assert.equal((await browser.get("/session")).json.session?.["page_views"], "2");
  });
});

describe("a client that pipelines as fast as it can", LIMITS, () => {
  test("keeps nobody else from being served", async (t) => {
    const socket = open(t);
    let replies = 0;
    socket.on("data", (part: string) => (replies += part.split("HTTP/1.1 200").length - 1));
    const send = () => {
      while (!socket.destroyed && socket.write(PAGE.repeat(1500)));
    };
    socket.on("drain", send);
    send();
    const statuses = await visitUntil(sleep(2000));
    assert.deepEqual(
      statuses.filter((status) => status !== 200),
      [],
    );
    assert.ok(await until(() => replies > 1500), `${replies} replies to the client itself`);
    t.diagnostic(`${statuses.length} requests of another client, ${replies} of the pipelining one`);
  });
});

/** Opens connections that send the request over and over, as fast as the server takes it. */
function openUnreading(t: TestContext, count: number, request: string): Socket[] {
  const requests = request.repeat(1000);
  const sockets = Array.from({ length: count }, () => open(t).pause());
  for (const socket of sockets) {
    const send = () => {
      while (!socket.destroyed && socket.write(requests));
    };
    socket.on("drain", send);
    send();
  }
  return sockets;
}

/** Sends the requests of another client until then, and returns their statuses and how the memory grew. */
async function visitAndMeasureUntil(t: TestContext, before: number, isOver: Promise<unknown>) {
  let peak = 0;
  const measuring = setInterval(() => void memoryOfServer().then((now) => (peak = Math.max(peak, now))), 100);
  t.after(() => clearInterval(measuring));
  const statuses = await visitUntil(isOver);
  t.diagnostic(`${statuses.length} requests of another client; memory ${before} kB, then ${peak} kB`);
  assert.deepEqual(
    statuses.filter((status) => status !== 200),
    [],
  );
  assert.ok(peak < 2 * before, `${peak} kB, before ${before} kB`);
}

describe("clients that never read their replies", LIMITS, () => {
  const SHORTEST = "GET /session HTTP/1.1\r\nHost:\r\n\r\n";

  for (const [count, kind, request] of [
    [50, "pages", PAGE],
    // The operating system takes many of these replies: with 50 clients, its buffers are full only after 12 s.
    [process.env["FULL"] === "1" ? 50 : 15, "JSON, in the shortest requests", SHORTEST],
  ] as const) {
    test(`are disconnected, use little memory and keep nobody from being served: ${count} that ask for ${kind}`, async (t) => {
      for (let i = 0; i < 10; i++) await repliesTo(t, request.repeat(200) + LAST); // the heap grows to its usual size
      const before = await memoryOfServer();
      const sockets = openUnreading(t, count, request);
      const start = performance.now();
      const allClosed = Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once("close", resolve))));
      await visitAndMeasureUntil(t, before, Promise.race([allClosed, sleep(150_000, undefined, { ref: false })]));
      t.diagnostic(`closed after ${Math.round(performance.now() - start)} ms`);
      assert.equal(sockets.filter((socket) => !socket.closed).length, 0, "connections that are still open");
    });
  }

  test("keep nobody from being served: one that sends the length of its bodies after 1,000 other headers", async (t) => {
    const browser = await logIn();
    const headers = `Cookie: sid=${browser.sessionId}\r\n${"a:\r\n".repeat(997)}Content-Length: 1\r\n`;
    openUnreading(t, 1, PAGE.replace("\r\n\r\n", `\r\n${headers}\r\nx`));
    const statuses = await visitUntil(sleep(2000));
    assert.ok(
      statuses.every((status) => status === 200),
      statuses.join(),
    );
  });

  test("use little memory and keep nobody from being served: 500 that send 2,200 requests each, and no more", async (t) => {
    const before = await memoryOfServer();
    const requests = SHORTEST.repeat(2200); // more than Node reads at once
    for (let i = 0; i < 500; i++) open(t).pause().write(requests);
    await visitAndMeasureUntil(t, before, sleep(5000));
  });
});

test("after all of this the log is empty, and the server ends as it should", LIMITS, async () => {
  const { code, stderr } = await server.stop("SIGTERM");
  assert.deepEqual([code, stderr], [0, ""]);
});
