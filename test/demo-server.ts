import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { after } from "node:test";
import { text } from "node:stream/consumers";
import { parseSetCookie } from "cookie";
import { createApp } from "../demo/app.ts";
import { OutageLog } from "../demo/outage-log.ts";
import { createPage } from "../demo/page.ts";
import { openRedis as connectDemo } from "../demo/redis.ts";
import type { DemoData } from "../demo/routes.ts";
import { SessionCookie } from "../demo/session-cookie.ts";
import { RedisSessionStore } from "../session-store.ts";
import { commandsDuring, newPrefix, openRedis } from "./redis.ts";

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
  const { host, port, redis } = await openRedis();
  const outages = new QuietOutageLog();
  const { client, address, timeLeft, close } = await connectDemo(
    { redisHost: host, redisPort: port, redisUrl: undefined },
    outages,
  );
  closers.push(close);
  return { redis, openApp, costOf };

  async function openApp({ secure = false, absoluteTtl = 2_592_000 } = {}) {
    const prefix = newPrefix();
    const store = new RedisSessionStore<DemoData>({ redis: client, prefix, ttl: 60, absoluteTtl });
    const cookie = new SessionCookie({ secure });
    const page = createPage({
      cookieName: cookie.name,
      isCookieSecure: secure,
      redisAddress: address,
      keyOf: (id) => store.keyOf(id),
      defaultTtl: 60,
      absoluteTtl,
    });
    const { signal: stopping } = new AbortController();
    const server = createServer(
      createApp({
        store,
        cookie,
        page,
        timeLeft: (id) => timeLeft(store.keyOf(id)),
        absoluteTtl,
        outages,
        stopping,
      }),
    );
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

  /** The commands that Redis ran during the action, and in how many pieces they came. The client's PINGs are left out. */
  async function costOf(action: () => Promise<unknown>) {
    const { ping = 0, info: _, ...commands } = await commandsDuring(redis, action);
    const reads = /total_reads_processed:(\d+)/.exec(await redis.info("stats"))?.[1];
    return { commands, roundTrips: Number(reads) - ping - 2 }; // 2: what was asked for these numbers
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
    end,
    kill,
    async stop(signal: NodeJS.Signals) {
      kill(signal);
      return end(STOP_LIMIT_MS);
    },
    /** Where it listens, and what it said until then. */
    async listening() {
      while (!/http:\S+\n/.test(stdout) || !/^Redis: .+\n/m.test(stdout)) {
        if (child.exitCode !== null) throw new Error(`The server ended: ${stdout}${stderr}`);
        await Promise.race([once(child.stdout, "data"), ended]);
      }
      const url = /http:\S+/.exec(stdout)![0];
      return { url, port: Number(new URL(url).port), stdout, browser: new Browser(url) };
    },
  };
}
