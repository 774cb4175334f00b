import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, describe, test, type TestContext } from "node:test";
import { openRedis as openDemoRedis } from "../../demo/process/open-redis.ts";
import type { RedisTarget } from "../../redis-connection/index.ts";
import { StartError } from "../../demo/process/start-error.ts";
import type { Lifetime } from "../child-process.ts";
import { NO_REDIS_ON_DEFAULT_PORTS, spawnServer, spawnServerWith } from "../demo-process.ts";
import { openRedis } from "../redis-connection.ts";
import { spawnRedis } from "../redis-process.ts";
import { pathWithRedisServer, REDIS_PROGRAM } from "../redis-program.ts";
import { reservedPort } from "../reserved-port.ts";
import { until } from "../wait.ts";

const { redis, host, port } = await openRedis();
const guarded = await openRedis();
const PASSWORD = "s3cret/+@:%";
await guarded.redis.configSet("requirepass", PASSWORD);

const HERE = ["--redis-host", host, "--redis-port", String(port)];
const AT_ONCE = { concurrency: 3 };
const keySuffix = (id: string) => `sha256:${createHash("sha256").update(id).digest("base64url")}`;
const linesOf = (output: string) => output.trim().split("\n");

async function listen(t: Lifetime, server: Server): Promise<number> {
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => void server.close());
  return (server.address() as AddressInfo).port;
}

async function answers(portNumber: number): Promise<boolean> {
  const socket = connect(portNumber, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

describe("starting", AT_ONCE, () => {
  const server = spawnServer({ after }, [...HERE, "--port", "0"]);

  test("the server prints one line with the URL to open and one with its Redis", async () => {
    const { url, port: ownPort, stdout } = await server.listening();
    assert.equal(url, `http://localhost:${ownPort}`);
    assert.equal(linesOf(stdout).length, 2);
    assert.ok(
      linesOf(stdout).some((line) => line.includes(`${host}:${port}`)),
      stdout,
    );
  });

  for (const [listensOn, shown] of [
    ["::1", "[::1]"],
    ["::", "localhost"],
    ["0.0.0.0", "localhost"],
    ["localhost", "localhost"],
    ["127.0.0.2", "127.0.0.2"],
  ] as const) {
    test(`the URL that the server prints can be opened: --host ${listensOn}`, async (t) => {
      const { url, port: ownPort } = await spawnServer(t, [...HERE, "--port", "0", "--host", listensOn]).listening();
      assert.equal(url, `http://${shown}:${ownPort}`);
      assert.equal((await fetch(`${url}/session`)).status, 200);
    });
  }

  test("the server keeps its sessions in the Redis that was named, under session: and the ID", async () => {
    const { browser } = await server.listening();
    const { status, json } = await browser.post("/login", { username: "andrew" });
    assert.deepEqual([status, json.configured_ttl], [200, 60]);
    assert.equal(await redis.hGet(`session:${browser.sessionId}`, "username"), "andrew");
  });

  test("the start ends with one line that names the port if the port is in use", async (t) => {
    const taken = String(await listen(t, createServer()));
    const { code, stdout, stderr } = await spawnServer(t, [...HERE, "--port", taken]).end();
    assert.deepEqual([code, linesOf(stderr).length, stdout], [1, 1, ""]);
    assert.ok(stderr.includes(taken), stderr);
  });
});

describe("the options", () => {
  const args = ["--host", "127.0.0.2", "--absolute-ttl", "20", "--secure-cookie", "--hash-ids"];
  const server = spawnServer({ after }, [...HERE, "--port", "0", ...args]);

  test("--host sets the address to listen on", async () => {
    assert.match((await server.listening()).url, /^http:\/\/127\.0\.0\.2:/);
  });

  test("--absolute-ttl is the longest TTL, and ends every session", async () => {
    const { browser } = await server.listening();
    const refused = await browser.post("/login", { ttl: "21" });
    assert.equal(refused.status, 400);
    assert.match(refused.json.error ?? "", /20/);
    assert.equal((await browser.post("/login", { ttl: "20" })).status, 200);
    assert.equal((await browser.post("/login")).json.configured_ttl, 20);
    const key = `session:${keySuffix(browser.sessionId)}`;
    const deadline = Date.parse((await redis.hGet(key, "created_at")) ?? "") + 21_000;
    assert.ok((await redis.pExpireTime(key)) <= deadline);
  });

  test("--secure-cookie makes the cookie secure", async () => {
    const { browser } = await server.listening();
    const { setCookies } = await browser.post("/login");
    assert.match(setCookies[0] ?? "", /^__Host-sid=.*; Secure/);
  });

  test("--hash-ids keeps no ID in Redis, only its digest", async () => {
    const { browser } = await server.listening();
    await browser.post("/login", { username: "hidden" });
    const id = browser.sessionId;
    assert.equal(await redis.hGet(`session:${keySuffix(id)}`, "username"), "hidden");
    const everything = [...(await redis.keys("*")), ...Object.values(await redis.hGetAll(`session:${keySuffix(id)}`))];
    assert.ok(everything.every((kept) => !kept.includes(id)));
  });
});

const withPassword = (password: string, path = "") =>
  `redis://:${encodeURIComponent(password)}@${guarded.host}:${guarded.port}${path}`;

describe("a Redis that wants a password", AT_ONCE, () => {
  test("a Redis URL brings user, password and database, and the password is never printed", async (t) => {
    const environment = { REDIS_URL: withPassword(PASSWORD, "/3"), SECURE_COOKIE: "false", HASH_IDS: "0" };
    const server = spawnServer(t, ["--port", "0"], environment);
    const { browser, stdout } = await server.listening();
    assert.ok(stdout.includes(`${guarded.host}:${guarded.port}`), stdout);
    await browser.post("/login");
    await guarded.redis.select(3);
    assert.equal(await guarded.redis.exists(`session:${browser.sessionId}`), 1);
    const page = await browser.get("/", { accept: "text/html" });
    const ended = await server.stop("SIGTERM");
    for (const output of [page.text, ended.stdout, ended.stderr]) {
      assert.ok(!output.includes("s3cret"), output);
    }
  });

  for (const [what, url] of [
    ["wrong", withPassword("wr0ng")],
    ["missing", `redis://${guarded.host}:${guarded.port}`],
  ] as const) {
    test(`a ${what} password ends the start with one line that does not show it`, async (t) => {
      const { code, stdout, stderr } = await spawnServer(t, ["--port", "0", "--redis-url", url]).end();
      assert.deepEqual([code, linesOf(stderr).length, stdout], [1, 1, ""]);
      assert.ok(stderr.includes(`${guarded.host}:${guarded.port}`), stderr);
      assert.match(stderr, /password|WRONGPASS|NOAUTH/i);
      assert.doesNotMatch(stderr, /wr0ng/);
    });
  }
});

const REFUSED = await reservedPort();

/** The line with which a server ends whose Redis was named and is not there. */
async function whyNot(target: RedisTarget): Promise<string> {
  try {
    await (await openDemoRedis(target)).close();
  } catch (error) {
    assert.ok(error instanceof StartError, String(error));
    assert.equal(linesOf(error.message).length, 1, error.message);
    return error.message;
  }
  return "";
}

const silent = (t: TestContext) => createServer((socket) => t.after(() => socket.destroy()));

describe("a Redis that was named and is not there", AT_ONCE, () => {
  const absent: [what: string, redisHost: string, portOf: (t: TestContext) => Promise<number>][] = [
    ["nobody listens", "127.0.0.1", async () => REFUSED],
    ["nobody listens at an IPv6 address", "::1", async () => REFUSED],
    ["whoever listens never replies", "127.0.0.1", (t) => listen(t, silent(t))],
    [
      "whoever listens hangs up",
      "127.0.0.1",
      (t) =>
        listen(
          t,
          createServer((socket) => socket.destroy()),
        ),
    ],
    [
      "a web server listens",
      "127.0.0.1",
      (t) =>
        listen(
          t,
          createHttpServer((_, response) => response.end()),
        ),
    ],
  ];
  for (const [what, redisHost, portOf] of absent) {
    test(`the error for a Redis that is not there names host and port, and what to do: ${what}`, async (t) => {
      const redisPort = await portOf(t);
      const line = await whyNot({ host: redisHost, port: redisPort });
      for (const named of [redisHost, String(redisPort), "--redis-host"]) assert.ok(line.includes(named), line);
    });
  }

  test("a Redis that is not there ends the start with one line and code 1", async (t) => {
    const server = spawnServer(t, ["--port", "0", "--redis-port", String(REFUSED), "--redis-cluster"]);
    const { code, stdout, stderr } = await server.end();
    assert.deepEqual([code, stdout], [1, ""]);
    assert.equal(stderr, `${await whyNot({ cluster: true, host: "localhost", port: REFUSED })}\n`);
  });
});

describe("a cluster or a Sentinel that was named", AT_ONCE, () => {
  const SENTINEL_PORT = 26_379;
  const here = { host: "localhost", port: REFUSED };
  const kinds: [called: string, target: RedisTarget][] = [
    ["cluster", { ...here, cluster: true }],
    ["Sentinel of mymaster", { ...here, sentinel: "mymaster" }],
  ];
  for (const [called, target] of kinds) {
    test(`the error for a Redis that is not there names its kind: ${called}`, async () => {
      const line = await whyNot(target);
      assert.ok(line.startsWith(`No Redis at localhost:${REFUSED} (${called}) (`), line);
    });
  }

  for (const [what, sentinelHost, args] of [
    ["a host without a port", "127.0.0.9", ["--redis-host", "127.0.0.9"]],
    ["neither host nor port", "localhost", []],
  ] as const) {
    test(`--redis-sentinel with ${what} means a Sentinel at port ${SENTINEL_PORT}, and no private Redis`, async (t) => {
      const server = spawnServer(t, [...args, "--redis-sentinel", "mymaster"], NO_REDIS_ON_DEFAULT_PORTS);
      const { code, stdout, stderr } = await server.end();
      assert.deepEqual([code, linesOf(stderr).length, stdout], [1, 1, ""], stderr);
      assert.ok(stderr.startsWith(`No Redis at ${sentinelHost}:${SENTINEL_PORT} (Sentinel of mymaster) (`), stderr);
    });
  }
});

test("a mistake ends the start with one line, and --help with the options", AT_ONCE, async (t) => {
  const mistake = await spawnServer(t, ["--port", "70000"]).end();
  assert.deepEqual([mistake.code, mistake.stdout, linesOf(mistake.stderr).length], [1, "", 1]);
  const help = await spawnServer(t, ["--help"]).end();
  assert.deepEqual([help.code, help.stderr], [0, ""]);
  assert.match(help.stdout, /--redis-url/);
});

describe("stopping", AT_ONCE, () => {
  const post =
    "POST /login HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 14\r\n\r\n";

  /** A log-in that the server has begun to read. */
  async function beginLogIn(t: TestContext, ownPort: number) {
    const socket = connect(ownPort, "127.0.0.1");
    t.after(() => socket.destroy());
    socket.on("error", () => {}).write(post);
    await once(socket, "readable");
    assert.match(String(socket.read()), /^HTTP\/1\.1 100 /);
    return socket;
  }

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`after ${signal} the server finishes requests under way, accepts no connection, and exits with 0`, async (t) => {
      const server = spawnServer(t, [...HERE, "--port", "0"]);
      const { port: ownPort } = await server.listening();
      const socket = await beginLogIn(t, ownPort);
      server.kill(signal);
      assert.ok(await until(async () => !(await answers(ownPort))), "still accepts");
      socket.write("username=grace");
      assert.match(await text(socket), /^HTTP\/1\.1 200 [^]*"username":"grace"/);
      const { code, stderr } = await server.end();
      assert.deepEqual([code, stderr], [0, ""]);
    });
  }
});

describe("where no Redis is named and none is at localhost:6379", AT_ONCE, () => {
  test("without a Redis the server starts a private one, and says so in one line", async (t) => {
    const server = spawnServer(t, ["--port", "0"], NO_REDIS_ON_DEFAULT_PORTS);
    const { stdout, browser } = await server.listening();
    const said = linesOf(stdout).filter((line) => /private/i.test(line));
    assert.equal(said.length, 1, stdout);
    assert.ok(await answers(Number(/:(\d+)/.exec(said[0]!)?.[1])), said[0]);
    assert.equal((await browser.post("/login")).status, 200);
    assert.deepEqual(await server.stop("SIGTERM").then(({ code, stderr }) => [code, stderr]), [0, ""]);
  });

  test("the private Redis is gone after a start that fails", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "test-private-redis-"));
    t.after(() => rm(folder, { recursive: true }));
    const log = join(folder, "arguments");
    const PATH = await pathWithRedisServer(t, `echo "$@" >> ${log}\nexec ${REDIS_PROGRAM} "$@"`);
    const taken = String(await listen(t, createServer()));
    const { code, stderr } = await spawnServer(t, ["--port", taken], { ...NO_REDIS_ON_DEFAULT_PORTS, PATH }).end();
    assert.deepEqual([code, linesOf(stderr).length], [1, 1]);
    const redisPort = Number(/--port (\d+)/.exec(await readFile(log, "utf8"))?.[1]);
    assert.equal(await answers(redisPort), false);
  });

  test("a redis-server that does not start ends the start with one line that names it", async (t) => {
    const PATH = await pathWithRedisServer(t, "exit 1");
    const { code, stdout, stderr } = await spawnServer(t, [], { ...NO_REDIS_ON_DEFAULT_PORTS, PATH }).end();
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /^A private Redis cannot be started: \S+\/redis-server .+--redis-host.+\n$/);
  });
});

describe("a reader of the log that goes away", AT_ONCE, () => {
  test("the server goes on when the reader of its log has ended", async (t) => {
    const spawned = await spawnRedis(t);
    const { server, browser } = await spawnServerWith(t, spawned);
    server.closeOutput();
    await spawned.kill(); // which is logged
    assert.equal((await browser.get("/healthz")).status, 503);
    await spawned.start();
    assert.ok(await until(async () => (await browser.get("/healthz")).status === 200), "Redis cannot be used again");
    assert.equal((await server.stop("SIGTERM")).code, 0);
  });

  test("the server starts although the reader of its log has ended", async (t) => {
    const ownPort = String(await reservedPort());
    const server = spawnServer(t, [...HERE, "--port", ownPort]);
    server.closeOutput();
    assert.ok(await until(() => answers(Number(ownPort))), "never listens");
    assert.equal((await server.stop("SIGTERM")).code, 0);
  });
});
