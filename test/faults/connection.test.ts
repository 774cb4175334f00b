import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { tracingChannel } from "node:diagnostics_channel";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { extname } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import { connectRedis, type RedisConnection, RedisConnectionError } from "../../redis-connection/index.ts";
import { REDIS_TIME_LIMITS } from "../../redis-connection/time-limits.ts";
import { killAtExit } from "../child-process.ts";
import { connectPatiently } from "../redis-connection.ts";
import { type SpawnedRedis, spawnRedis } from "../redis-process.ts";
import { until } from "../wait.ts";

const FILE = { concurrency: 4, timeout: 900_000 };
const STORE_TIMEOUT_MS = 1000;

const targetAt = (port: number) => ({ host: "127.0.0.1", port });
const PING_SCRIPT = "return 1";
const NO_KEYS = { keys: [], arguments: [] };

async function openConnection(t: TestContext, { port }: SpawnedRedis) {
  const log: string[] = [];
  const redis = await connectPatiently(targetAt(port), { log: (line) => log.push(line) });
  t.after(() => redis.close());
  return { redis, log };
}

const isServing = (redis: RedisConnection) => () =>
  redis.ping().then(
    () => true,
    () => false,
  );

/** Connections of clients other than the one that asks. */
async function connectionsTo({ send }: SpawnedRedis): Promise<number> {
  return (
    String(await send("CLIENT", "LIST"))
      .trim()
      .split("\n").length - 1
  );
}

async function connectionsReceivedBy({ send }: SpawnedRedis): Promise<number> {
  return Number(/total_connections_received:(\d+)/.exec(String(await send("INFO", "stats")))?.[1]);
}

/** Meanwhile nothing is read, and no timer fires. */
function blockEventLoop(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

describe("a connection to a Redis that hangs", FILE, () => {
  test("a connection to a Redis that hangs fails its commands, and is replaced when Redis replies again", async (t) => {
    const spawned = await spawnRedis(t);
    const { redis, log } = await openConnection(t, spawned);
    spawned.hang();
    await assert.rejects(redis.eval(PING_SCRIPT, NO_KEYS), /Disconnects client|closed|offline/);
    await until(() => log.length > 0);
    assert.deepEqual(log, [`Redis is unavailable: no reply within ${REDIS_TIME_LIMITS.checkReplyMs} ms`]);
    spawned.resume();
    assert.ok(await until(isServing(redis)), "Redis cannot be used again");
    assert.equal(await redis.eval(PING_SCRIPT, NO_KEYS), 1);
  });

  test("the watchdog gives up a connection before the store's own timeout", () => {
    assert.ok(REDIS_TIME_LIMITS.checkEveryMs + REDIS_TIME_LIMITS.checkReplyMs < STORE_TIMEOUT_MS);
  });

  test("an attempt to replace a connection takes two seconds at most", () => {
    assert.ok(REDIS_TIME_LIMITS.connectMs <= 2 * STORE_TIMEOUT_MS);
  });
});

const isCheck = (message: object) => "args" in message && Array.isArray(message.args) && message.args[0] === "HELLO";

test("a Redis that hangs is checked once, and not again before its reply", async (t) => {
  const spawned = await spawnRedis(t);
  let [waiting, most] = [0, 0];
  const count = (step: number) => (message: object) => {
    if (!isCheck(message)) return;
    waiting += step;
    most = Math.max(most, waiting);
  };
  const subscriber = { start: count(1), asyncEnd: count(-1), end() {}, asyncStart() {}, error() {} };
  const channel = tracingChannel<unknown, object>("node-redis:command");
  const { log } = await openConnection(t, spawned);
  channel.subscribe(subscriber);
  t.after(() => channel.unsubscribe(subscriber));
  spawned.hang();
  await until(() => log.length > 0);
  spawned.resume();
  assert.equal(most, 1);
});

describe("a connection that is lost", FILE, () => {
  test("a lost connection is replaced when Redis is started again", async (t) => {
    const spawned = await spawnRedis(t);
    const { redis, log } = await openConnection(t, spawned);
    await spawned.kill();
    await assert.rejects(redis.ping(), { code: "REDIS_UNAVAILABLE" });
    await until(() => log.length > 0);
    await spawned.start();
    assert.ok(await until(isServing(redis)), "Redis cannot be used again");
    assert.ok(await until(() => log.length > 1), "the end of the outage is not logged");
    assert.match(log.join("\n"), /^Redis is unavailable: \w.+\nRedis is back$/);
    assert.ok(await until(async () => (await connectionsTo(spawned)) === 1), "more than one connection");
  });

  for (const throwing of ["log", "onReconnect"]) {
    test(`a lost connection is replaced, and an exception of ${throwing} is an uncaught one`, async (t) => {
      const spawned = await spawnRedis(t);
      const addUser = () => spawned.send("ACL", "SETUSER", "ada", "on", ">secret", "~*", "+@all");
      await addUser();
      const file = new URL(`../../redis-connection/index${extname(import.meta.url)}`, import.meta.url);
      const script = `
        const fail = () => { throw new Error("the callback failed"); };
        process.on("uncaughtException", ({ message }) => console.log(message));
        import(${JSON.stringify(file.href)}).then(async ({ connectRedis }) => {
          const log = ${throwing === "log" ? "fail" : "console.log"};
          const url = "redis://ada:secret@127.0.0.1:${spawned.port}";
          const redis = await connectRedis(url, { log, ifUnavailable: "wait" });
          if (${throwing === "onReconnect"}) redis.onReconnect = fail;
          console.log("connected");
          setInterval(() => redis.eval("return 1", { keys: [], arguments: [] }).then(console.log, () => {}), 100);
        });`;
      const child = killAtExit(spawn(process.execPath, ["--import", "tsx", "--eval", script]));
      t.after(() => child.kill());
      let output = "";
      child.stdout.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
      assert.ok(await until(() => output.includes("connected")));
      await spawned.kill();
      await spawned.start();
      const isRefused = async () => JSON.stringify(await spawned.send("ACL", "LOG")).includes("ada");
      assert.ok(await until(isRefused), output);
      await addUser();
      assert.ok(await until(() => /the callback failed\n(.*\n)*1\n/.test(output)), output);
    });
  }

  test("a lost connection is not replaced after close()", async (t) => {
    const spawned = await spawnRedis(t);
    const { redis, log } = await openConnection(t, spawned);
    await spawned.kill();
    await until(() => log.length > 0);
    await redis.close();
    await spawned.start();
    const before = await connectionsReceivedBy(spawned);
    await sleep(10 * REDIS_TIME_LIMITS.checkEveryMs);
    assert.equal(await connectionsReceivedBy(spawned), before + 1); // the one that asks
  });
});

describe("an event loop that was blocked", FILE, () => {
  for (const ms of [650, 900, 1500, 3000]) {
    test(`an event loop blocked for ${ms} ms, with a check and 50 commands under way, is no failure of Redis`, async (t) => {
      const spawned = await spawnRedis(t);
      const { redis, log } = await openConnection(t, spawned);
      const hasNoFailure = async () => {
        const before = log.length;
        spawned.hang();
        const commands = Array.from({ length: 50 }, () => redis.eval(PING_SCRIPT, NO_KEYS));
        await sleep(2 * REDIS_TIME_LIMITS.checkEveryMs);
        spawned.resume();
        blockEventLoop(ms); // the replies arrive meanwhile
        const outcomes = await Promise.allSettled(commands);
        return log.length === before && outcomes.every(({ status }) => status === "fulfilled");
      };
      // On a busy machine, Redis itself may reply too late: then once more.
      for (let times = 0; times < 3; times++) assert.ok(await until(hasNoFailure), log.join("\n"));
    });
  }
});

describe("close()", FILE, () => {
  test("close() waits for the replies to commands that were sent", async (t) => {
    const redis = await connectPatiently(targetAt((await spawnRedis(t)).port));
    const commands = Array.from({ length: 100 }, () => redis.eval(PING_SCRIPT, NO_KEYS));
    await redis.close();
    await Promise.all(commands);
  });

  test("close() leaves no connection behind", async (t) => {
    const spawned = await spawnRedis(t);
    const redis = await connectPatiently(targetAt(spawned.port));
    assert.equal(await connectionsTo(spawned), 1);
    await redis.close();
    assert.ok(await until(async () => (await connectionsTo(spawned)) === 0));
  });

  test("close() does not wait for a Redis that hangs", async (t) => {
    const spawned = await spawnRedis(t);
    const redis = await connectPatiently(targetAt(spawned.port));
    spawned.hang();
    const waiting = assert.rejects(redis.eval(PING_SCRIPT, NO_KEYS));
    await redis.close();
    await waiting;
  });
});

describe("a peer that never completes the handshake", FILE, () => {
  const peers: [what: string, isTls: boolean, behave: (socket: Socket) => unknown][] = [
    ["says nothing", false, () => {}],
    ["drips bytes of a reply", false, (socket) => drip(socket, "+", "a")],
    ["says nothing where TLS is expected", true, () => {}],
    ["drips bytes of a TLS record", true, (socket) => drip(socket, "\u0016\u0003\u0003\u0040\u0000", "\u0002")],
  ];
  for (const [what, isTls, behave] of peers) {
    test(`a peer that ${what} is no Redis, and its socket is closed`, async (t) => {
      const sockets: Socket[] = [];
      const peer = createServer((socket) => {
        sockets.push(socket.on("error", () => {}).resume());
        behave(socket);
      });
      t.after(() => void peer.close());
      await once(peer.listen(0, "127.0.0.1"), "listening");
      const { port } = peer.address() as AddressInfo;
      await assert.rejects(connectRedis({ ...targetAt(port), tls: isTls }), (error) => {
        assert.ok(error instanceof RedisConnectionError, String(error));
        assert.equal(error.address, `127.0.0.1:${port}`);
        assert.match(error.reason, /^no connection within \d+ ms$/);
        return true;
      });
      assert.equal(sockets.length, 1);
      assert.ok(await until(() => sockets[0]!.destroyed), "the socket is still open");
    });
  }
});

/** Sends these bytes, then more of them again and again, and never completes the message. */
function drip(socket: Socket, first: string, more: string): void {
  socket.write(first, "latin1");
  const timer = setInterval(() => socket.write(more, "latin1"), 50);
  socket.on("close", () => clearInterval(timer));
}

test("the password is not shown if a server repeats it in an error reply", async (t) => {
  const peer = createServer((socket) => {
    socket
      .on("error", () => {})
      .on("data", (data) => {
        const words = data
          .toString()
          .split("\r\n")
          .filter((line) => !/^[*$]/.test(line));
        socket.write(`-ERR unknown command 'HELLO', with args beginning with: ${words.join(" ")}\r\n`);
      });
  });
  t.after(() => void peer.close());
  await once(peer.listen(0, "127.0.0.1"), "listening");
  const { port } = peer.address() as AddressInfo;
  await assert.rejects(connectRedis({ ...targetAt(port), password: "s3cret" }), (error) => {
    assert.match(String(error), /ERR unknown command 'HELLO'/);
    assert.doesNotMatch(inspect(error), /s3cret/);
    return true;
  });
});

test("a host that contains a password is refused, and the error does not show it", async () => {
  for (const host of ["redis://andrew:s3cret@localhost", "andrew:s3cret@localhost", "localhost:s3cret", ""]) {
    for (const target of [
      { host },
      { host, cluster: true },
      { host, sentinel: "mymaster" },
      { nodes: [{ host, port: 1 }] },
    ]) {
      await assert.rejects(connectRedis(target), (error) => {
        assert.equal(String(error), "TypeError: host must be a host name or an IP address, without a port");
        assert.doesNotMatch(inspect(error), /s3cret/);
        return true;
      });
    }
  }
});
