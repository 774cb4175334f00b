import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Browser } from "../browser.ts";
import { NO_REDIS_ON_DEFAULT_PORTS, spawnServer, spawnServerWith } from "../demo-process.ts";
import { parseReplies } from "../raw-http.ts";
import { askRedis, type SpawnedRedis, spawnRedis } from "../redis-process.ts";
import { pathWithRedisServer } from "../redis-program.ts";
import { until } from "../wait.ts";

const AT_ONCE = { concurrency: 6, timeout: 900_000 };

function open(t: TestContext, port: number): Socket {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  t.after(() => socket.destroy());
  return socket.on("error", () => {});
}

async function refusesConnections(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  const isRefused = await once(socket, "connect").then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === "ECONNREFUSED",
  );
  socket.destroy();
  return isRefused;
}

/** Asks for a page view after the other on one connection, for as long as the server keeps it. */
class Visitor {
  readonly browser: Browser;
  answered = 0;
  refused = 0;
  /** When it sent the request that is under way. */
  sentAt: number | undefined;
  readonly #socket: Socket;

  constructor(socket: Socket, browser: Browser) {
    this.#socket = socket;
    this.browser = browser;
  }

  async run(): Promise<void> {
    const head = `POST /increment HTTP/1.1\r\nHost: x\r\nCookie: sid=${this.browser.sessionId}`;
    const request = `${head}\r\nContent-Length: 0\r\n\r\n`;
    let received = "";
    const ask = () => {
      received = "";
      this.sentAt = performance.now();
      this.#socket.write(request);
    };
    this.#socket.setEncoding("latin1").on("data", (chunk: string) => {
      received += chunk;
      if (!received.endsWith("}")) return;
      const [reply] = parseReplies(received);
      this.sentAt = undefined;
      if (reply?.status === 200) this.answered += 1;
      else this.refused += 1;
      if (reply?.headers.get("connection") === "close") this.#socket.end();
      else ask();
    });
    this.#socket.once("end", () => this.#socket.end()); // also when a request is dropped
    ask();
    if (!this.#socket.closed) await new Promise((resolve) => this.#socket.once("close", resolve));
  }
}

describe("a server that is told to stop", AT_ONCE, () => {
  test("a server that is stopped replies to each of 50 requests under way, loses no page view, and exits with 0", async (t) => {
    const redis = await spawnRedis(t);
    const { server, port, url } = await spawnServerWith(t, redis);
    const visitors = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const browser = new Browser(url);
        await browser.post("/login", { ttl: "600" });
        return new Visitor(open(t, port), browser);
      }),
    );
    const visits = Promise.all(visitors.map((visitor) => visitor.run()));
    await sleep(1000);
    const toldAt = performance.now();
    server.kill("SIGTERM");
    const { code, stderr } = await server.end();
    await visits;

    const answered = visitors.reduce((sum, visitor) => sum + visitor.answered, 0);
    const dropped = visitors.filter(({ sentAt }) => sentAt !== undefined);
    const before = dropped.filter(({ sentAt }) => sentAt! < toldAt);
    t.diagnostic(`${answered} replies, dropped ${before.length} of 50`);
    t.diagnostic(`and ${dropped.length - before.length} that were sent after the signal`);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.equal(before.length, 0);
    for (const { browser, answered: views } of visitors) {
      assert.equal(await redis.send("HGET", `session:${browser.sessionId}`, "page_views"), String(1 + views));
    }
  });

  const hindrances: [what: string, hinder: (t: TestContext, port: number, redis: SpawnedRedis) => Promise<unknown>][] =
    [
      [
        "a client never sends the rest of its form",
        async (t, port) => {
          open(t, port).write(HALF_FORM);
        },
      ],
      [
        "two clients say nothing, or half a header",
        async (t, port) => {
          open(t, port);
          open(t, port).write("GET / HT");
        },
      ],
      ["a client never reads its replies", async (t, port) => open(t, port).pause().write(FILES)],
      [
        "a client was refused and does not hang up",
        async (t, port) => {
          const socket = open(t, port);
          socket.write("nonsense\r\n\r\n");
          await once(socket, "data");
        },
      ],
      [
        "100 clients keep their connections",
        (t, port) =>
          Promise.all(
            Array.from({ length: 100 }, async () => {
              const socket = open(t, port);
              socket.write("GET /session HTTP/1.1\r\nHost: x\r\n\r\n");
              await once(socket, "data");
            }),
          ),
      ],
      [
        "Redis hangs, and a request with it",
        async (t, port, redis) => {
          redis.hang();
          open(t, port).write(`GET /session HTTP/1.1\r\nHost: x\r\nCookie: sid=${"A".repeat(43)}\r\n\r\n`);
        },
      ],
      ["Redis is gone", (_t, _port, redis) => redis.kill()],
    ];
  for (const [what, hinder] of hindrances) {
    test(`a server that is stopped refuses connections and exits with 0, although ${what}`, async (t) => {
      const redis = await spawnRedis(t);
      const { server, port } = await spawnServerWith(t, redis);
      await hinder(t, port, redis);
      await sleep(200);
      server.kill("SIGTERM");
      assert.ok(await until(() => refusesConnections(port)), "the server still accepts connections");
      assert.equal((await server.end()).code, 0);
    });
  }

  test("a server that is stopped closes idle connections while it waits for the rest of a form", async (t) => {
    const { server, port } = await spawnServerWith(t, await spawnRedis(t));
    const [idle, busy] = [open(t, port).setEncoding("latin1"), open(t, port).setEncoding("latin1")];
    idle.write("GET /session HTTP/1.1\r\nHost: x\r\n\r\n");
    busy.write(HALF_FORM);
    await once(idle, "data");
    server.kill("SIGTERM");
    await once(idle.resume(), "end");
    busy.write(OTHER_HALF);
    const [reply] = (await once(busy, "data")) as [string];
    assert.match(reply, /^HTTP\/1\.1 200 /);
    assert.equal((await server.end()).code, 0);
  });

  test("a server that is stopped replies to a request that arrives on an idle connection after the signal", async (t) => {
    const { server, port } = await spawnServerWith(t, await spawnRedis(t));
    const socket = open(t, port).setEncoding("latin1");
    socket.write("GET /session HTTP/1.1\r\nHost: x\r\n\r\n");
    await once(socket, "data");
    server.kill("SIGTERM");
    await until(() => refusesConnections(port));
    socket.write("GET /session HTTP/1.1\r\nHost: x\r\n\r\n");
    const [reply] = (await once(socket, "data")) as [string];
    assert.match(reply, /^HTTP\/1\.1 200 [^]*\r\nConnection: close\r\n/i);
    assert.equal((await server.end()).code, 0);
  });
});

/** A form without its last bytes. */
const HALF_FORM =
  "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n" +
  "Content-Length: 10\r\n\r\nuser";
const OTHER_HALF = "name=a";
const FILES = "GET /style.css HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3000);

/** False for a zombie too: nobody may be there to reap it. */
function isRunning(pid: number): boolean {
  const { stdout } = spawnSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" });
  return /^[^Z]/.test(stdout);
}

async function withPrivateRedis(t: TestContext) {
  const server = spawnServer(t, ["--port", "0"], NO_REDIS_ON_DEFAULT_PORTS);
  const { stdout, ...listening } = await server.listening();
  const redisPort = Number(/^Redis: .*:(\d+) \(private/m.exec(stdout)?.[1]);
  const redisPid = Number(/process_id:(\d+)/.exec(String(await askRedis(redisPort, "INFO", "server")))?.[1]);
  t.after(() => {
    try {
      process.kill(redisPid, "SIGKILL");
    } catch {} // gone, as it should be
  });
  return { server, redisPort, redisPid, ...listening };
}

describe("a private Redis", AT_ONCE, () => {
  test("a private Redis listens on the loopback address only", async (t) => {
    const { redisPort } = await withPrivateRedis(t);
    assert.deepEqual({ ...Object(await askRedis(redisPort, "CONFIG", "GET", "bind")) }, { bind: "127.0.0.1" });
  });

  test("a private Redis that hangs is gone after a stop, and the server exits with 0", async (t) => {
    const { server, redisPid, redisPort, port } = await withPrivateRedis(t);
    process.kill(redisPid, "SIGSTOP");
    open(t, port).write(`GET /session HTTP/1.1\r\nHost: x\r\nCookie: sid=${"A".repeat(43)}\r\n\r\n`);
    await sleep(50);
    server.kill("SIGTERM");
    const { code } = await server.end();
    assert.deepEqual([code, await refusesConnections(redisPort)], [0, true]);
  });

  test("a private Redis is gone after a second signal, which ends the server at once with 1", async (t) => {
    const { server, redisPort, port } = await withPrivateRedis(t);
    open(t, port).write(HALF_FORM);
    await sleep(200);
    // Within half a second it counts as the same signal, passed on by npm.
    const signals = setInterval(() => server.kill("SIGINT"), 50);
    const { code } = await server.end();
    clearInterval(signals);
    assert.equal(code, 1);
    assert.ok(await until(() => refusesConnections(redisPort)), "Redis is still there");
  });

  for (const signal of ["SIGKILL", "SIGHUP", "SIGTERM", "SIGINT"] as const) {
    test(`a private Redis is gone soon after the server gets ${signal}`, async (t) => {
      const { server, redisPort } = await withPrivateRedis(t);
      server.kill(signal);
      const { code } = await server.end();
      assert.equal(code, signal === "SIGKILL" ? null : 0);
      assert.ok(await until(() => refusesConnections(redisPort)), "Redis is still there");
    });
  }

  for (const [signal, target] of [
    ["INT", "-$PPID"], // Ctrl-C reaches the process group
    ["TERM", "$PPID"],
  ] as const) {
    test(`a private Redis that never replies is gone soon after SIG${signal} at the moment of its start, and the server exits with 0`, async (t) => {
      const folder = await mkdtemp(join(tmpdir(), "test-private-redis-"));
      t.after(() => rm(folder, { recursive: true }));
      const log = join(folder, "pid");
      const PATH = await pathWithRedisServer(t, `echo $$ > ${log}\nkill -s ${signal} -- ${target}\nexec sleep 300`);
      for (let times = 0; times < 3; times++) {
        const server = spawnServer(t, ["--port", "0"], { ...NO_REDIS_ON_DEFAULT_PORTS, PATH });
        assert.equal((await server.end()).code, 0);
        const pid = Number(await readFile(log, "utf8"));
        assert.ok(pid > 0 && (await until(() => !isRunning(pid))), "Redis is still there");
        await rm(log);
      }
    });
  }

  test("a private Redis is gone soon after Ctrl-C and SIGKILL together", async (t) => {
    const { server, redisPort } = await withPrivateRedis(t);
    server.kill("SIGINT");
    server.kill("SIGKILL");
    await server.end();
    assert.ok(await until(() => refusesConnections(redisPort)), "Redis is still there");
  });
});
