import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { after } from "node:test";
import { createApp } from "../demo/app.ts";
import { createHttpServer } from "../demo/http/http-server.ts";
import { handleRequest } from "../demo/routes/handle-request.ts";
import { Browser } from "./browser.ts";
import { openRedis } from "./redis-connection.ts";
import { keysLike, newPrefix, NO_HURRY } from "./store-under-test.ts";

interface AppOptions {
  secure?: boolean;
  absoluteTtl?: number;
  /** For a test of what happens without Redis. */
  timeoutMs?: number;
}

export interface App {
  port: number;
  host: string;
  /** The key of a session. */
  key: (id: string) => string;
  /** The keys of all sessions. */
  keys: () => Promise<string[]>;
  newBrowser: (sid?: string) => Browser;
  logIn: (form?: Record<string, string>) => Promise<{ browser: Browser; id: string; key: string }>;
}

/** The demo in this process, with a Redis of the test file's own. Each app has its own key prefix. */
export async function openDemo() {
  const closers: (() => unknown)[] = [];
  after(async () => {
    for (const close of closers.toReversed()) await close();
  });
  const { host, port, redis, connect } = await openRedis();
  const client = await connect();
  const ping = () => Promise.all(client.servers().map((server) => server.ping()));
  return { redis, openApp };

  async function openApp({ secure = false, absoluteTtl = 2_592_000, ...timeLimit }: AppOptions = {}): Promise<App> {
    const prefix = newPrefix();
    const { signal: stopping } = new AbortController();
    const storeSettings = { prefix, ttl: Math.min(60, absoluteTtl), absoluteTtl, ...NO_HURRY, ...timeLimit };
    const app = createApp({
      redis: client,
      redisAddress: `${host}:${port}`,
      ping,
      storeSettings,
      isCookieSecure: secure,
    });
    const server = createHttpServer((...request) => handleRequest(app, ...request), stopping);
    server.requestTimeout = server.headersTimeout = 0; // a busy machine may need longer than a client is given
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
      key: (id) => prefix + id,
      keys: async () => (await keysLike(redis, `${prefix}*`)).filter((key) => !key.startsWith(`${prefix}user:`)),
      newBrowser: (sid) => new Browser(url, sid),
      logIn: async (form = {}) => {
        const browser = new Browser(url);
        await browser.post("/login", form);
        return { browser, id: browser.sessionId, key: prefix + browser.sessionId };
      },
    };
  }
}
