/**
 * The demo server, from its options to its end:  npx tsx server.ts --help
 */
import { once } from "node:events";
import { type AddressInfo, Server as NetServer } from "node:net";
import { createDemoServer } from "./demo/http/server.ts";
import { parseOptions, StartError } from "./demo/options.ts";
import { OutageLog } from "./demo/redis/outage-log.ts";
import { openRedis, type Redis } from "./demo/redis/connect.ts";

const DEFAULT_TTL = 60; // seconds: short, so that one can watch it run out
const IDLE_LIMIT_MS = 500; // at a stop, a connection may be idle for this long
const DRAIN_LIMIT_MS = 3000; // what is under way at a stop has this long to finish
const STOP_LIMIT_MS = 4500; // and then everything else

async function start(): Promise<void> {
  const options = parseOptions(process.argv.slice(2), process.env);
  const outages = new OutageLog();
  const redis = await openRedis(options, outages);

  const { absoluteTtl, hashIds } = options;

  const stopping = new AbortController();
  const server = createDemoServer({
    redis,
    storeSettings: { ttl: Math.min(DEFAULT_TTL, absoluteTtl), absoluteTtl, hashIds },
    secureCookie: options.secureCookie,
    outages,
    stopping: stopping.signal,
  });
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

  /**
   * Stops accepting, finishes what is under way, leaves Redis. Whatever hangs, the process ends. A connection that is idle
   * may have a request on its way, so it is not closed at once, as `server.close` would, but after its last answer or
   * a moment.
   */
  async function stop(): Promise<void> {
    stopping.abort();
    setTimeout(() => server.closeAllConnections(), DRAIN_LIMIT_MS).unref();
    setTimeout(() => process.exit(), STOP_LIMIT_MS).unref();
    NetServer.prototype.close.call(server);
    setTimeout(() => server.closeIdleConnections(), IDLE_LIMIT_MS).unref();
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
