/**
 * The demo server, from its start to its stop. For its options:  npx tsx server.ts --help
 */
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createApp } from "./demo/app.ts";
import { createHttpServer } from "./demo/http/http-server.ts";
import { parseOptions } from "./demo/process/options.ts";
import { openRedis } from "./demo/process/open-redis.ts";
import { StartError } from "./demo/process/start-error.ts";
import { createStopSignal } from "./demo/process/stop-signal.ts";
import { handleRequest } from "./demo/routes/handle-request.ts";
import { formatServer } from "./redis-connection/index.ts";

const DEFAULT_TTL = 60; // seconds: short, so that you can watch a session expire
const KEEP_IDLE_MS = 500; // when the server stops, idle connections stay open for this long: a request may be on its way
const DRAIN_LIMIT_MS = 3000; // when the server stops, connections that are still open after this time are closed

async function run(args: string[], stopping: AbortSignal): Promise<void> {
  const { port, host, secureCookie, absoluteTtl, hashIds, redis: target } = parseOptions(args, process.env);
  stopping.addEventListener("abort", exitAtOnce);
  const { redis, address, close } = await openRedis(target);
  stopping.removeEventListener("abort", exitAtOnce);
  try {
    const storeSettings = { ttl: Math.min(DEFAULT_TTL, absoluteTtl), absoluteTtl, hashIds };
    const app = createApp({
      redis,
      redisAddress: address,
      ping: () => redis.ping(),
      storeSettings,
      isCookieSecure: secureCookie,
    });
    const cacheScripts = () => app.store.cacheScripts().catch(() => {}); // the connection logs what Redis refuses
    redis.onReconnect = () => void cacheScripts();
    await cacheScripts();
    const server = createHttpServer((...request) => handleRequest(app, ...request), stopping);
    await listen(server, port, host);
    console.log(`Sessions in Redis: open ${urlOf(host, (server.address() as AddressInfo).port)}`);
    console.log(`Redis: ${address}`);

    if (!stopping.aborted) await once(stopping, "abort");
    await drain(server);
  } finally {
    await close();
  }
}

/** For a stop while the server connects to Redis: no request is under way yet. */
const exitAtOnce = () => process.exit(0);

async function listen(server: Server, port: number, host: string): Promise<void> {
  try {
    await once(server.listen(port, host), "listening");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "EADDRINUSE") {
      throw new StartError(`Port ${port} is in use. Choose another with --port, or a free one with --port 0.`);
    }
    throw new StartError(`Cannot listen on ${host}, port ${port}: ${message}`);
  }
}

/** The address to open. A server on 127.0.0.1 or on all addresses is reached at `localhost`. */
function urlOf(host: string, port: number): string {
  const isLocal = ["127.0.0.1", "0.0.0.0", "::"].includes(host);
  return `http://${formatServer({ host: isLocal ? "localhost" : host, port })}`;
}

/** Stops accepting connections, and waits until the requests under way have their replies. */
async function drain(server: Server): Promise<void> {
  const closeIdleConnections = server.closeIdleConnections.bind(server);
  server.closeIdleConnections = () => {}; // close() would call it at once and so lose a request that is on its way
  setTimeout(closeIdleConnections, KEEP_IDLE_MS).unref();
  setTimeout(() => server.closeAllConnections(), DRAIN_LIMIT_MS).unref();
  await once(server.close(), "close");
}

// If the program that reads our output has ended, a write fails (EPIPE). Without a listener, that would end the server.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});

try {
  await run(process.argv.slice(2), createStopSignal());
} catch (error) {
  console.error(error instanceof StartError ? error.message : error);
  process.exit(1);
}
