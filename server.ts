/**
 * The demo server, from its options to its end:  npx tsx server.ts --help
 */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createApp, refuse } from "./demo/app.ts";
import { parseOptions, StartError } from "./demo/options.ts";
import { OutageLog } from "./demo/outage-log.ts";
import { createPage } from "./demo/page.ts";
import { openRedis, type Redis } from "./demo/redis.ts";
import type { DemoData } from "./demo/routes.ts";
import { SessionCookie } from "./demo/session-cookie.ts";
import { RedisSessionStore } from "./session-store.ts";

const DEFAULT_TTL = 60; // seconds: short, so that one can watch it run out
/** For slow and silent clients, in milliseconds. The app itself refuses a request without a Host, with its headers. */
const LIMITS = {
  headersTimeout: 5000,
  requestTimeout: 10_000,
  connectionsCheckingInterval: 1000,
  requireHostHeader: false,
};
const DRAIN_LIMIT_MS = 3000; // what is under way at a stop has this long to finish
const STOP_LIMIT_MS = 4500; // and then everything else

async function start(): Promise<void> {
  const options = parseOptions(process.argv.slice(2), process.env);
  const outages = new OutageLog();
  const redis = await openRedis(options, outages);

  const { absoluteTtl, hashIds } = options;
  const defaultTtl = Math.min(DEFAULT_TTL, absoluteTtl);
  const store = new RedisSessionStore<DemoData>({
    redis: redis.client,
    ttl: defaultTtl,
    absoluteTtl,
    hashIds,
  });
  const cookie = new SessionCookie({ secure: options.secureCookie });
  const page = createPage({
    cookieName: cookie.name,
    isCookieSecure: options.secureCookie,
    redisAddress: redis.address,
    keyOf: (id) => store.keyOf(id),
    defaultTtl,
    absoluteTtl,
  });

  const stopping = new AbortController();
  const timeLeft = (id: string) => redis.timeLeft(store.keyOf(id));
  const app = createApp({ store, cookie, page, timeLeft, absoluteTtl, outages, stopping: stopping.signal });
  const server = createServer(LIMITS, app);
  server.on("clientError", refuse);
  await listen(options, redis);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const) {
    process.on(signal, () => (stopping.signal.aborted ? process.exit(1) : void stop()));
  }
  console.log(`Sessions in Redis: open http://${urlHost(options.host)}:${(server.address() as AddressInfo).port}`);
  console.log(`Redis: ${redis.address}`);

  async function listen({ port, host }: { port: number; host: string }, { close }: Redis): Promise<void> {
    try {
      await once(server.listen(port, host), "listening");
    } catch (error) {
      await close();
      throw new StartError(cannotListen(port, host, error));
    }
  }

  /** Stops accepting, finishes what is under way, leaves Redis. Whatever hangs, the process ends. */
  async function stop(): Promise<void> {
    stopping.abort();
    setTimeout(() => server.closeAllConnections(), DRAIN_LIMIT_MS).unref();
    setTimeout(() => process.exit(), STOP_LIMIT_MS).unref();
    server.close();
    await once(server, "close");
    await redis.close();
  }
}

const urlHost = (host: string) => (host === "127.0.0.1" ? "localhost" : host.includes(":") ? `[${host}]` : host);

function cannotListen(port: number, host: string, error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "EADDRINUSE") return `Port ${port} is in use. Choose another with --port, or a free one with --port 0.`;
  return `Cannot listen on ${host}, port ${port}: ${error instanceof Error ? error.message : String(error)}`;
}

try {
  await start();
} catch (error) {
  console.error(error instanceof StartError ? error.message : error);
  process.exit(1);
}
