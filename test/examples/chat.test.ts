import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { connect, type Socket } from "node:net";
import { after, describe, test } from "node:test";
import { WebSocket } from "ws";
import { Browser } from "../browser.ts";
import { spawnExample } from "../demo-process.ts";
import { DURABLE, spawnRedis } from "../redis-process.ts";
import { until } from "../wait.ts";

const redis = await spawnRedis({ after }, DURABLE);
const example = await spawnExample({ after }, "examples/chat.ts", { REDIS_URL: `redis://127.0.0.1:${redis.port}` });
const url = await example.listening();

async function logIn(username: string): Promise<Browser> {
  const browser = new Browser(url);
  const isLoggedIn = async () => (await browser.post("/login", { username, password: "secret" })).status === 200;
  assert.ok(await until(isLoggedIn)); // 503 while Redis comes back
  return browser;
}

const cookieOf = (browser: Browser) => `sid=${browser.sessionId}`;

/** A connection, what it has received, and its close code once it has closed. */
interface Connection {
  received: string[];
  closedWith: number | undefined;
}

async function openSocket(browser: Browser, headers = {}): Promise<Connection & { socket: WebSocket }> {
  const socket = new WebSocket(url, { headers: { cookie: cookieOf(browser), ...headers } });
  const connection = { socket, received: [] as string[], closedWith: undefined as number | undefined };
  socket.on("message", (data: Buffer) => connection.received.push(data.toString()));
  socket.on("close", (code) => (connection.closedWith = code));
  after(() => socket.terminate());
  await once(socket, "open");
  return connection;
}

async function openStream(browser: Browser): Promise<Connection> {
  const request = http.get(`${url}/events`, { agent: false, headers: { cookie: cookieOf(browser) } });
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  assert.equal(response.statusCode, 200);
  const connection: Connection = { received: [], closedWith: undefined };
  response.setEncoding("utf8").on("data", (chunk: string) => connection.received.push(chunk));
  response.on("end", () => (connection.closedWith = 0));
  after(() => request.destroy());
  return connection;
}

/** Requests as they are written, on a connection that stays open if the server ends it. */
async function sendRequests(...requests: [path: string, headers: Record<string, string>][]): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  after(() => socket.destroy());
  for (const [path, headers] of requests) {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: chat\r\n${lines.join("")}\r\n`);
  }
  return socket.on("error", () => {});
}

/** The status of a handshake that is refused. */
async function refusal(headers: Record<string, string>): Promise<number | undefined> {
  const [, response] = (await once(new WebSocket(url, { headers }), "unexpected-response")) as [
    unknown,
    http.IncomingMessage,
  ];
  response.resume();
  return response.statusCode;
}

const isClosed = ({ closedWith }: Connection) => closedWith !== undefined;
const SESSION_ENDED = 4401;

describe("the chat", () => {
  test("sends each message to every socket and every event stream, one line each", async () => {
    const browser = await logIn("andrew");
    const [writer, reader, stream] = await Promise.all([openSocket(browser), openSocket(browser), openStream(browser)]);
    writer.socket.send("hello\n\ndata: there");
    const line = "andrew: hello data: there";
    assert.ok(await until(() => [writer, reader].every(({ received }) => received.includes(line))));
    assert.ok(await until(() => stream.received.join("") === `data: ${line}\n\n`));
  });

  test("refuses a handshake without a session, with a dead one, or from another site", async () => {
    const browser = await logIn("andrew");
    assert.equal(await refusal({}), 401);
    assert.equal(await refusal({ cookie: `sid=${"x".repeat(43)}` }), 401);
    assert.equal(await refusal({ cookie: cookieOf(browser), origin: "https://evil.example" }), 403);
    const { socket } = await openSocket(browser, { origin: url });
    assert.equal(socket.readyState, WebSocket.OPEN);
  });

  test("a message that is too long closes its socket only", async () => {
    const browser = await logIn("andrew");
    const [greedy, other] = await Promise.all([openSocket(browser), openSocket(browser)]);
    greedy.socket.send("x".repeat(10_000));
    assert.ok(await until(() => greedy.closedWith === 1009));
    other.socket.send("still here");
    assert.ok(await until(() => other.received.includes("andrew: still here")));
  });
});

describe("the connections of a session end with it", () => {
  test("a log-out closes the sockets of all tabs and the event stream, and those of no other session", async () => {
    const [browser, other] = [await logIn("andrew"), await logIn("andrew")];
    const [one, two, stream, kept] = await Promise.all([
      openSocket(browser),
      openSocket(browser),
      openStream(browser),
      openSocket(other),
    ]);
    await browser.post("/logout");
    assert.ok(await until(() => [one, two, stream].every(isClosed)));
    assert.deepEqual([one.closedWith, two.closedWith], [SESSION_ENDED, SESSION_ENDED]);
    assert.match(stream.received.join(""), /event: ended\n/);
    kept.socket.send("I stay");
    assert.ok(await until(() => kept.received.includes("andrew: I stay")));
  });

  test("a log-out everywhere closes those of all devices of the user, and of nobody else", async () => {
    const [phone, laptop, stranger] = [await logIn("visitor"), await logIn("visitor"), await logIn("andrew")];
    const connections = await Promise.all([openSocket(phone), openSocket(laptop), openStream(laptop)]);
    const kept = await openSocket(stranger);
    const reply = await phone.post("/logout-everywhere");
    assert.deepEqual([reply.status, reply.text], [200, '{"ended":2}']);
    assert.ok(await until(() => connections.every(isClosed)));
    assert.equal(kept.closedWith, undefined);
  });

  test("a message sent with a session that has ended reaches nobody", async () => {
    const [browser, other] = [await logIn("andrew"), await logIn("visitor")];
    const [sender, reader] = await Promise.all([openSocket(browser), openSocket(other)]);
    await browser.post("/logout");
    sender.socket.send("too late");
    assert.ok(await until(() => isClosed(sender)));
    reader.socket.send("the end");
    assert.ok(await until(() => reader.received.includes("visitor: the end")));
    assert.ok(!reader.received.includes("andrew: too late"));
  });

  test("an event stream that ends while it waits for another one to be sent is not written to any more", async () => {
    const [first, second] = [await logIn("andrew"), await logIn("visitor")];
    const streams = await sendRequests(
      ["/events", { Cookie: cookieOf(first) }],
      ["/events", { Cookie: cookieOf(second) }],
    );
    await once(streams, "data");
    const [ended, writer] = await Promise.all([openSocket(second), openSocket(first)]);
    await second.post("/logout");
    assert.ok(await until(() => isClosed(ended)));
    for (const text of ["hello", "still here"]) {
      writer.socket.send(text);
      assert.ok(await until(() => writer.received.includes(`andrew: ${text}`)), example.stderr());
    }
  });

  test("an event stream whose client has gone before it begins is not watched", async () => {
    const browser = await logIn("visitor");
    await redis.send("CLIENT", "PAUSE", "500", "WRITE"); // meanwhile no script is run
    (await sendRequests(["/events", { Cookie: cookieOf(browser) }])).destroySoon();
    const isIdle = async () => Number(await redis.send("OBJECT", "IDLETIME", `session:${browser.sessionId}`)) > 2;
    assert.ok(await until(isIdle), "The session is still read");
  });

  test("while Redis is down no connection is closed, and the first check after it closes those that ended", async () => {
    const [browser, other] = [await logIn("andrew"), await logIn("visitor")];
    const [ended, kept] = await Promise.all([openSocket(browser), openSocket(other)]);
    await redis.kill();
    assert.ok(await until(async () => (await other.post("/logout")).status === 503));
    assert.deepEqual([ended.closedWith, kept.closedWith], [undefined, undefined]);
    await redis.start();
    await redis.send("DEL", `session:${browser.sessionId}`);
    assert.ok(await until(() => isClosed(ended)));
    assert.equal(kept.closedWith, undefined);
  });
});

test("a stop closes all connections, also of clients that do nothing for it, and the process ends", async () => {
  const handshake = { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13" };
  const key = "dGhlIHNhbXBsZSBub25jZQ==";
  const cookie = cookieOf(await logIn("andrew"));
  const silent = await sendRequests(["/", { ...handshake, "Sec-WebSocket-Key": key, Cookie: cookie }]);
  const refused = await sendRequests(["/", handshake]);
  await Promise.all([once(silent, "data"), once(refused, "data")]);
  const connection = await openSocket(await logIn("andrew"));
  const stream = await openStream(await logIn("andrew"));
  example.kill("SIGTERM");
  assert.ok(await until(() => isClosed(connection)));
  const { code, stderr } = await example.end();
  assert.equal(code, 0, stderr);
  assert.equal(connection.closedWith, 1001);
  assert.equal(stream.closedWith, undefined);
});
