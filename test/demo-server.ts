import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, connect, createServer as createNetServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { text } from "node:stream/consumers";
import { parseSetCookie } from "cookie";
import { createClient } from "redis";
import { createDemoServer } from "../demo/http/server.ts";
import { OutageLog } from "../demo/redis/outage-log.ts";
import { openRedis as connectDemo } from "../demo/redis/connect.ts";
import type { DemoData } from "../demo/http/handlers.ts";
import { RedisSessionStore } from "../session-store.ts";
import { costIn, newPrefix, openRedis } from "./redis.ts";

class QuietOutageLog extends OutageLog {
  override failed(): void {}
  override recovered(): void {}
}

/** The demo in this process, over a Redis of the test file's own. Each app has keys of its own. */
export async function openDemo() {
  const closers: (() => unknown)[] = [];
  after(async () => {
    for (const close of closers.toReversed()) await close();
  });
  const { host, port, isCluster, redis } = await openRedis();
  const outages = new QuietOutageLog();
  const demoRedis = await connectDemo({ redisHost: host, redisPort: port, redisCluster: isCluster }, outages);
  closers.push(demoRedis.close);
  return { redis, openApp, costOf };

  async function openApp({ secure = false, absoluteTtl = 2_592_000 } = {}) {
    const prefix = newPrefix();
    const store = new RedisSessionStore<DemoData>({ redis: demoRedis.client, prefix, ttl: 60, absoluteTtl });
    const { signal: stopping } = new AbortController();
    const limits = { defaultTtl: 60, absoluteTtl };
    const server = createDemoServer({ store, redis: demoRedis, secureCookie: secure, ...limits, outages, stopping });
    await once(server.listen(0, "127.0.0.1"), "listening");
    closers.push(() => {
      server.close();
      server.closeAllConnections();
    });
    const httpPort = (server.address() as AddressInfo).port;
    const url = `http://127.0.0.1:${httpPort}`;
    return {
      port: httpPort,
      host: `127.0.0.1:${httpPort}`,
      key: (id: string) => prefix + id,
      keys: () => keysLike(`${prefix}*`),
      newBrowser: (sid?: string) => new Browser(url, sid),
      logIn: async (form: Record<string, string> = {}) => {
        const browser = new Browser(url);
        await browser.post("/login", form);
        return { browser, id: browser.sessionId, key: prefix + browser.sessionId };
      },
    };
  }

  async function keysLike(pattern: string): Promise<string[]> {
    const keys: string[] = [];
    for await (const some of redis.scanIterator({ MATCH: pattern, COUNT: 10_000 })) keys.push(...some);
    return keys;
  }

  /** The commands that Redis ran during the action, and in how many pieces they came. Not while others came between. */
  async function costOf(action: () => Promise<unknown>) {
    for (;;) {
      const { commands, others, roundTrips } = await costIn(redis, action);
      if (others === 0) return { commands, roundTrips };
    }
  }
}

export interface SessionJson {
  authenticated?: boolean;
  session_id?: string;
  session?: Record<string, string> | null;
  configured_ttl?: number;
  ttl?: number;
  page_views?: number;
  error?: string;
}

export interface Reply {
  status: number;
  headers: Headers;
  setCookies: string[];
  text: string;
  /** Empty where the answer is not JSON. */
  json: SessionJson;
  /** The page without its templates, which nobody sees. */
  shown: string;
}

/** Sends requests and keeps cookies, as a browser does; follows no redirect. */
export class Browser {
  readonly cookies = new Map<string, string>();
  readonly #url: string;

  constructor(url: string, sid?: string) {
    this.#url = url;
    if (sid !== undefined) this.cookies.set("sid", sid);
  }

  get sessionId(): string {
    return this.cookies.get("sid") ?? this.cookies.get("__Host-sid") ?? "";
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Reply> {
    return this.send(path, { headers });
  }

  post(path: string, form: Record<string, string> = {}, headers = {}): Promise<Reply> {
    return this.send(path, { method: "POST", headers, body: new URLSearchParams(form) });
  }

  async send(path: string, { headers = {}, ...init }: RequestInit = {}): Promise<Reply> {
    const cookie = Array.from(this.cookies, (pair) => pair.join("=")).join("; ");
    const response = await fetch(this.#url + path, {
      ...init,
      redirect: "manual",
      headers: { ...(cookie !== "" && { cookie }), ...(headers as Record<string, string>) },
    });
    const setCookies = response.headers.getSetCookie();
    for (const { name, value = "", maxAge } of setCookies.map((header) => parseSetCookie(header))) {
      if (maxAge === 0) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    const body = await response.text();
    const isJson = response.headers.get("content-type")?.startsWith("application/json");
    return {
      status: response.status,
      headers: response.headers,
      setCookies,
      text: body,
      json: isJson && body !== "" ? (JSON.parse(body) as SessionJson) : {},
      shown: body.replaceAll(/<template.*?<\/template>/gs, ""),
    };
  }
}

/** What comes back for these bytes until the server ends the connection. Lines end in CRLF here too. */
export async function sendRaw(port: number, request: string, { end = false } = {}): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.write(request.replaceAll(/\r?\n/g, "\r\n"));
  if (end) socket.end();
  return text(socket);
}

/** A test's context, or node:test itself where something is to last for the whole suite. */
export interface Lifetime {
  after: (end: () => unknown) => void;
}

/** What runs for the tests, ended also where the test file itself comes to a sudden end. */
const children = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(1));

function keepUntilItEnds(child: ChildProcess): ChildProcess {
  children.add(child);
  return child.once("exit", () => children.delete(child));
}

const END_LIMIT_MS = 10_000;
const STOP_LIMIT_MS = 6000; // the contract's five seconds, and one for a busy machine

/** The real server in a process of its own, which ends with the test at the latest. */
export function spawnServer(t: Lifetime, args: string[], environment: Record<string, string> = {}) {
  const child = spawn(process.execPath, ["--import", "tsx", "server.ts", ...args], {
    cwd: new URL("..", import.meta.url),
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...environment },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  keepUntilItEnds(child);
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (stdout += chunk));
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
  const ended = once(child, "close").then(() => ({ code: child.exitCode, stdout, stderr }));
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });

  /** How it ended. One that does not is killed, and has no exit code. */
  async function end(limit = END_LIMIT_MS) {
    const overdue = setTimeout(() => child.kill("SIGKILL"), limit);
    return ended.finally(() => clearTimeout(overdue));
  }

  /** As a terminal does: Ctrl-C and a window that closes reach whatever the server started, too. */
  function kill(signal: NodeJS.Signals) {
    const isOfTerminal = signal === "SIGINT" || signal === "SIGHUP";
    process.kill(isOfTerminal ? -child.pid! : child.pid!, signal);
  }

  return {
    pid: child.pid!,
    /** What it has said on standard error so far. */
    stderr: () => stderr,
    end,
    kill,
    async stop(signal: NodeJS.Signals) {
      kill(signal);
      return end(STOP_LIMIT_MS);
    },
    /** Where it listens, and what it said until then. */
    async listening() {
      while (!/http:\S+\n/.test(stdout) || !/^Redis: .+\n/m.test(stdout)) {
        if (child.exitCode !== null || child.signalCode !== null)
          throw new Error(`The server ended: ${stdout}${stderr}`);
        await Promise.race([once(child.stdout, "data"), ended]);
      }
      const url = /http:\S+/.exec(stdout)![0];
      return { url, port: Number(new URL(url).port), stdout, browser: new Browser(url) };
    },
  };
}

/** A redis-server of the test's own on a port that stays its own: to hang, to kill and to start again. */
export async function spawnRedis(t: Lifetime, args: string[] = []) {
  const port = await reservedPort();
  const folder = await mkdtemp(join(tmpdir(), "test-redis-"));
  let child = run();
  const send = (...command: string[]) => askRedis(port, ...command);
  t.after(async () => {
    await kill();
    await rm(folder, { recursive: true });
  });
  await ready();
  return { port, send, kill, start, hang: () => child.kill("SIGSTOP"), resume: () => child.kill("SIGCONT") };

  function run(more: string[] = []) {
    const options = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder, ...args, ...more];
    return keepUntilItEnds(spawn("redis-server", options, { stdio: "ignore" }));
  }

  async function kill() {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  /** Starts it again, and resolves when it answers. */
  async function start(more: string[] = []) {
    child = run(more);
    await ready();
  }

  async function ready() {
    const isUp = await until(async () => (await send("PING").catch(() => "")) === "PONG", 10_000);
    assert.ok(isUp, `redis-server does not answer on port ${port}`);
  }
}

/** Runs a command of Redis on a connection of its own. */
export async function askRedis(port: number, ...command: string[]): Promise<unknown> {
  const client = createClient({ socket: { host: "127.0.0.1", port, reconnectStrategy: false } });
  client.on("error", () => {}); // the command says so itself
  try {
    return await (await client.connect()).sendCommand(command);
  } finally {
    client.destroy();
  }
}

export type SpawnedRedis = Awaited<ReturnType<typeof spawnRedis>>;

/** The real server in a process of its own, with this Redis, listening. */
export async function spawnServerWith(t: Lifetime, redis: SpawnedRedis, user = "") {
  const server = spawnServer(t, ["--port", "0", "--redis-url", `redis://${user}127.0.0.1:${redis.port}`]);
  return { server, ...(await server.listening()) };
}

const reservedPorts = new Set<number>();

/** Below the ports that outgoing connections get, so that none takes it while nobody listens. */
export async function reservedPort(): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (reservedPorts.has(port)) continue;
    reservedPorts.add(port);
    const server = createNetServer();
    try {
      await once(server.listen(port, "127.0.0.1"), "listening");
      await once(server.close(), "close");
      return port;
    } catch {} // taken
  }
  throw new Error("No port is free");
}

/** Whether it comes true, within six seconds unless told otherwise. */
export async function until(isSo: () => boolean | Promise<boolean>, limit = 6000): Promise<boolean> {
  for (const end = Date.now() + limit; Date.now() < end; await sleep(20)) {
    if (await isSo()) return true;
  }
  return isSo();
}

export interface RawAnswer {
  status: number;
  headers: Headers;
  /** A character for each byte. */
  body: string;
}

/** The answers that a connection brought, a character for each byte. Throws where one is no HTTP, or is cut off. */
export function parseAnswers(received: string): RawAnswer[] {
  const answers: RawAnswer[] = [];
  for (let rest = received; rest !== "";) {
    const [head, status, lines] = /^HTTP\/1\.1 (\d{3}) [ -~]+\r\n((?:[\w-]+: [ -~]*\r\n)*)\r\n/.exec(rest) ?? [];
    if (head === undefined) throw new Error(`This is no answer: ${JSON.stringify(rest.slice(0, 200))}`);
    const headers = new Headers(Array.from(lines!.matchAll(/^(.+?): (.*)\r$/gm), ([, name, value]) => [name!, value!]));
    rest = rest.slice(head.length);
    const isHeadOnly = rest === "" || rest.startsWith("HTTP/1.1 ");
    const length = isHeadOnly ? 0 : Number(headers.get("content-length"));
    if (rest.length < length) throw new Error(`This answer is cut off: ${JSON.stringify(head + rest)}`);
    answers.push({ status: Number(status), headers, body: rest.slice(0, length) });
    rest = rest.slice(length);
  }
  return answers;
}
