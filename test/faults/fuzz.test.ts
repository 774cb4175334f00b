import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import * as fc from "fast-check";
import { Browser } from "../browser.ts";
import { spawnServerWith } from "../demo-process.ts";
import { parseReplies, type RawReply } from "../raw-http.ts";
import { spawnRedis } from "../redis-process.ts";
import { BUSY_SECOND_MS } from "../wait.ts";

const SEED = Number(process.env["FUZZ_SEED"] ?? Date.now() % 1_000_000);
const REQUESTS = process.env["FULL"] === "1" ? 20_000 : 5000;
const AT_ONCE = 64;
const QUIET_MS = 25; // then whoever sent half a request says that this was all
const CHUNKED = "Transfer-Encoding: chunked";
const BAIT = "B".repeat(43);

/** One of these, most often one that is right: or else nearly nothing would get past the parser. */
const oneOf = (right: string[], ...wrong: string[]) =>
  fc.oneof({ weight: 15, arbitrary: fc.constantFrom(...right) }, { weight: 1, arbitrary: fc.constantFrom(...wrong) });
const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array).toString("latin1"));

const method = oneOf(
  ["GET", "POST", "HEAD"],
  "get",
  "PUT",
  "DELETE",
  "OPTIONS",
  "TRACE",
  "CONNECT",
  "BREW",
  "",
  "G\0T",
);
const target = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom("/", "/session", "/login", "/increment", "/ttl", "/rotate", "/logout") },
  fc.constantFrom(
    "//",
    "*",
    "",
    "/%",
    "/%00",
    "/..//../etc/passwd",
    "http://[",
    "http://x/session",
    "/session?%",
    "/#",
  ),
  fc.constantFrom("/__proto__", "/constructor", "/style.css?\xff", "x:443", "/session?refresh=false&refresh", "/ /"),
  bytes(30).map((text) => `/${text}`),
  fc.webPath(),
);
const version = oneOf(
  ["HTTP/1.1"],
  "HTTP/1.0",
  "HTTP/0.9",
  "HTTP/2.0",
  "HTTP/9.9",
  "HTTP/1.1 ",
  "http/1.1",
  "",
  "HTTP/1.",
);
const cookie = fc.oneof(
  fc.constantFrom("%", "%E0%A4%A", "=", ";;;", "sid", "sid=", 'sid="', "sid=%00", "__proto__=1", `sid=${BAIT}\t`),
  fc.constantFrom(`sid=${BAIT}`, `sid=${BAIT}; sid=x`, `flash=bnVsbA; sid=${BAIT}`, "flash=%", "flash=e30"),
  bytes(60).map((text) => `sid=${text}`),
  bytes(60).map((text) => `flash=${Buffer.from(text, "latin1").toString("base64url")}`),
);
const oddHeader = fc.oneof(
  cookie.map((value) => `Cookie: ${value}`),
  fc.constantFrom(
    "Accept: text/html",
    "Accept: text/html, \xff",
    "Accept:",
    "Origin: null",
    "Origin: http://[",
    "Origin: x",
  ),
  fc.constantFrom("Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site", "Range: bytes=0-0", "If-None-Match: *"),
  fc.constantFrom(
    "Content-Type: application/x-www-form-urlencoded",
    "Content-Type: multipart/form-data",
    "Content-Type:",
  ),
  fc.constantFrom(
    "Content-Encoding: gzip",
    "Expect: 100-continue",
    "Expect: miracles",
    "Upgrade: h2c",
    "Trailer: Host",
  ),
  fc.constantFrom(
    "Connection: close",
    "Connection: Upgrade",
    "Connection: keep-alive, close, x",
    "Keep-Alive: timeout=-1",
  ),
  fc.constantFrom("__proto__: 1", "constructor: 1", "X: \xff", "X-Forwarded-Host: [", "Content-Length: 0"),
  fc.integer({ min: 1, max: 12_000 }).map((length) => `X: ${"x".repeat(length)}`),
);
const brokenHeader = fc.oneof(
  fc.constantFrom("Host: [", "Host:", "Host: x\0", "Host: x, y", "Host: \xff", "Host: x:99999", "Host : x"),
  fc.constantFrom(
    "Content-Length: 5",
    "Content-Length: -1",
    "Content-Length: 1e3",
    "Content-Length: 99999999999999999",
  ),
  fc.constantFrom("Content-Length: 5, 5", "Content-Length: 0x10", "Content-Length: +5", "Content-Length:"),
  fc.constantFrom("Transfer-Encoding: chunked", "Transfer-Encoding: identity", "Transfer-Encoding: chunked, chunked"),
  fc.constantFrom("Transfer-Encoding: xchunked", "Transfer-Encoding:\x0bchunked", "Transfer-Encoding : chunked"),
  fc.constantFrom(" folded", "\tfolded", "no colon", ": no name", "X\0: y", "X: y\0", "X: \r", "X: \x7f"),
  fc.tuple(bytes(10), bytes(30)).map(([name, value]) => `${name}: ${value}`),
  fc.integer({ min: 15_000, max: 40_000 }).map((length) => `X: ${"x".repeat(length)}`),
);
const header = fc.oneof({ weight: 12, arbitrary: oddHeader }, { weight: 1, arbitrary: brokenHeader });

const FORM = "Content-Type: application/x-www-form-urlencoded";
const formText = fc.oneof(
  fc.constantFrom(
    "",
    "ttl=5",
    "ttl=0&ttl",
    "username=%&ttl=%",
    "username=\0&ttl=5",
    "&".repeat(16_384),
    "x".repeat(70_000),
  ),
  bytes(50),
);
const someChunks = fc
  .array(
    fc.tuple(oneOf(["5"], "6", "-1", "fffffffffffffffff", "5;x=y", "", "0x5", "5 "), oneOf(["ttl=5"], "x", "\r\n")),
  )
  .map((chunks) => chunks.map(([size, data]) => `${size}\r\n${data}\r\n`).join(""));
/** A body and the headers that tell of it, which may lie. */
const body = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ sent: "", framing: [] as string[] }) },
  { weight: 4, arbitrary: formText.map((sent) => ({ sent, framing: [FORM, `Content-Length: ${sent.length}`] })) },
  { weight: 2, arbitrary: someChunks.map((sent) => ({ sent: `${sent}0\r\n\r\n`, framing: [FORM, CHUNKED] })) },
  { weight: 1, arbitrary: someChunks.map((sent) => ({ sent, framing: [FORM, CHUNKED, "Content-Length: 5"] })) },
  { weight: 1, arbitrary: formText.map((sent) => ({ sent, framing: [FORM] })) },
);
const lineEnd = oneOf(["\r\n"], "\n", "\r", "\r\r\n", "\n\r");
const host = oneOf(["Host: localhost"], "", "Host: localhost\r\nHost: other");

const built = fc
  .record({ method, target, version, host, headers: fc.array(header, { maxLength: 4 }), lineEnd, body })
  .map(({ lineEnd: end, body: { sent, framing }, ...head }) => {
    const lines = [`${head.method} ${head.target} ${head.version}`, head.host, ...framing, ...head.headers];
    return `${lines.filter(Boolean).join(end)}${end}${end}${sent}`;
  });

const VALID = [
  `GET /session HTTP/1.1\r\nHost: localhost\r\nCookie: sid=${BAIT}\r\n\r\n`,
  "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nConnection: close\r\n\r\n",
  "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n" +
    "Content-Length: 19\r\n\r\nusername=eve&ttl=60",
  "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n" +
    "Transfer-Encoding: chunked\r\n\r\n6\r\nttl=60\r\n0\r\n\r\n",
];
const mutation = fc.record({
  at: fc.nat(250),
  length: fc.nat(3),
  insert: fc.oneof(
    { weight: 1, arbitrary: bytes(4) },
    { weight: 1, arbitrary: fc.constantFrom("\r\n", "\n", "\0", " ", "\r\n\r\n") },
    { weight: 4, arbitrary: fc.string({ maxLength: 3 }) },
  ),
});
const mutated = fc
  .tuple(fc.constantFrom(...VALID), fc.array(mutation, { minLength: 1, maxLength: 4 }))
  .map(([request, mutations]) =>
    mutations.reduce(
      (text, { at, length, insert }) =>
        text.slice(0, at % text.length) + insert + text.slice((at % text.length) + length),
      request,
    ),
  );

const request = fc.oneof(
  { weight: 8, arbitrary: built },
  { weight: 3, arbitrary: mutated },
  { weight: 1, arbitrary: bytes(400) },
  { weight: 1, arbitrary: fc.tuple(mutated, built).map((both) => both.join("")) },
);

interface Exchange {
  request: string;
  replies: RawReply[];
  /** What came that is no whole reply. */
  nonsense: string | undefined;
  ms: number;
}

/** Sends it as it is, and hangs up once something has come back or nothing will. */
async function exchange(port: number, sent: string): Promise<Exchange> {
  const start = performance.now();
  const socket = connect({ port, host: "127.0.0.1" }).setEncoding("latin1");
  let received = "";
  let isReset = false;
  const quiet = setTimeout(() => socket.end(), QUIET_MS);
  const overdue = setTimeout(() => socket.destroy(), BUSY_SECOND_MS);
  socket.on("error", () => (isReset = true));
  socket.on("data", (part: string) => {
    received += part;
    socket.end();
  });
  socket.write(sent, "latin1");
  await new Promise((resolve) => socket.once("close", resolve));
  clearTimeout(quiet);
  clearTimeout(overdue);
  const ms = performance.now() - start;
  try {
    return { request: sent, replies: parseReplies(received), nonsense: undefined, ms };
  } catch (error) {
    return { request: sent, replies: [], nonsense: isReset ? undefined : String(error), ms };
  }
}

const shown = ({ request: sent, replies, nonsense }: Exchange) => ({
  request: sent.slice(0, 300),
  replies: replies.map(({ status, headers }) => `${status} ${JSON.stringify(Object.fromEntries(headers))}`),
  nonsense,
});
const isMeant = (status: number) => (status >= 100 && status < 500) || status === 501 || status === 505;

test("hostile bytes, whatever they are, get a reply or a closed connection", { timeout: 900_000 }, async (t) => {
  t.diagnostic(`seed ${SEED}: repeat it with FUZZ_SEED=${SEED}`);
  const requests = fc.sample(request, { seed: SEED, numRuns: REQUESTS });
  const redis = await spawnRedis(t);
  const { server, port, browser, url } = await spawnServerWith(t, redis);
  await browser.post("/login", { username: "ada", ttl: "600" });

  const exchanges: Exchange[] = [];
  const start = performance.now();
  const waiting = requests.values();
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const sent of waiting) exchanges.push(await exchange(port, sent));
    }),
  );
  const seconds = (performance.now() - start) / 1000;
  const slowest = Math.max(...exchanges.map(({ ms }) => ms));
  const statuses = exchanges.flatMap(({ replies }) => replies.map(({ status }) => status));
  const counts = Array.from(new Set(statuses))
    .toSorted((a, b) => a - b)
    .map((status) => `${status} × ${statuses.filter((one) => one === status).length}`);
  const unanswered = exchanges.filter(({ replies }) => replies.length === 0).length;
  t.diagnostic(
    `${exchanges.length} requests in ${seconds.toFixed(1)} s, slowest ${slowest.toFixed()} ms, ` +
      `${counts.join(", ")}, ${unanswered} without a reply`,
  );

  const assertNone = (isWrong: (one: Exchange) => boolean) => {
    const wrong = exchanges.filter(isWrong);
    assert.deepEqual(wrong.slice(0, 5).map(shown), [], `${wrong.length} in all`);
  };

  await t.test("every reply is whole and is HTTP", () => {
    assertNone(({ nonsense }) => nonsense !== undefined);
  });

  await t.test("every reply has a status that is meant: never an error of the server's", () => {
    assertNone(({ replies }) => !replies.every(({ status }) => isMeant(status)));
  });

  await t.test("every reply carries the security headers", () => {
    assertNone(
      ({ replies }) => !replies.every(({ status, headers }) => status < 200 || headers.has("content-security-policy")),
    );
  });

  await t.test("no reply carries a header that a client made up", () => {
    assertNone(({ replies }) => replies.some(({ headers }) => headers.has("x") || headers.has("__proto__")));
  });

  await t.test("none takes longer than a second", () => {
    assertNone(({ ms }) => ms >= BUSY_SECOND_MS);
  });

  await t.test("every key in Redis has an expiry, and no session is the client's own choice", async () => {
    const script = `local found = {}
      for _, key in ipairs(redis.call("KEYS", "*")) do
        if redis.call("TTL", key) < 0 or key == "session:${BAIT}" then found[#found + 1] = key end
      end
      return found`;
    assert.deepEqual(await redis.send("EVAL", script, "0"), []);
  });

  await t.test("everybody else is served as before, and the log is empty", async () => {
    assert.equal((await browser.post("/increment")).json.page_views, 2);
    assert.equal((await new Browser(url).post("/login")).status, 200);
    const { code, stderr } = await server.stop("SIGTERM");
    assert.deepEqual([code, stderr], [0, ""]);
  });
});
