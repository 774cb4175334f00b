import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { after } from "node:test";
import { createDemoServer } from "../demo/http/server.ts";
import { openRedis as connectDemo } from "../demo/redis/connect.ts";
import { OutageLog } from "../demo/redis/outage-log.ts";
import { Browser } from "./browser.ts";
import { costIn } from "./command-statistics.ts";
import { openRedis } from "./redis-connection.ts";
import { newPrefix } from "./store-under-test.ts";

class QuietOutageLog extends OutageLog {
  override failed(): void {}
}

/** The demo in this process, with a Redis of the test file's own. Each app has its own key prefix. */
export async function openDemo() {
  const closers: (() => unknown)[] = [];
  after(async () => {
    for (const close of closers.toReversed()) await close();
  });
  const { host, port, isCluster, redis } = await openRedis();
  const outages = new QuietOutageLog(async () => {});
  const demoRedis = await connectDemo({ kind: isCluster ? "cluster" : "single", host, port });
  demoRedis.watch(() => {});
  closers.push(demoRedis.close);
  return { redis, openApp, costOf };

  async function openApp({ secure = false, absoluteTtl = 2_592_000 } = {}) {
    const prefix = newPrefix();
    const { signal: stopping } = new AbortController();
    const storeSettings = { prefix, ttl: Math.min(60, absoluteTtl), absoluteTtl }; // as in server.ts
    const server = createDemoServer({ redis: demoRedis, storeSettings, secureCookie: secure, outages, stopping });
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
      /** Of all sessions. */
      keys: async () => (await keysLike(`${prefix}*`)).filter((key) => !key.startsWith(`${prefix}user:`)),
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

  /** The commands that Redis ran during the action, and the number of round trips. Repeats it if others interfered. */
  async function costOf(action: () => Promise<unknown>) {
    for (;;) {
      const { commands, others, roundTrips } = await costIn(redis, action);
      if (others === 0) return { commands, roundTrips };
    }
  }
}
