import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { loadAssets } from "../page/assets.ts";
import { createPage } from "../page/render.ts";
import { RaceLab } from "../race-lab/race-lab.ts";
import type { Redis } from "../redis/connect.ts";
import type { OutageLog } from "../redis/outage-log.ts";
import { DemoStore, type StoreSettings } from "../store.ts";
import { replyToClientError } from "./client-error.ts";
import { createSequentialServer } from "./sequential-server.ts";
import { ErrorReplies } from "./error-reply.ts";
import { FlashCookie } from "./flash.ts";
import { Handlers } from "./handlers.ts";
import { assertHost } from "./host-header.ts";
import type { Reply } from "./reply.ts";
import { RaceHandlers } from "./race-handlers.ts";
import { Router } from "./router.ts";
import { SECURITY_HEADERS } from "./security-headers.ts";
import { SessionCookie } from "../../session-cookie.ts";

export interface DemoServerOptions {
  redis: Pick<Redis, "client" | "address" | "ping">;
  storeSettings: StoreSettings;
  secureCookie: boolean;
  outages: OutageLog;
  /** Aborted when the server stops: from then on a reply is the last one of its connection. */
  stopping: AbortSignal;
}

/** For slow and silent clients, in milliseconds. */
const TIME_LIMITS = {
  headersTimeout: 5000,
  requestTimeout: 10_000,
  connectionsCheckingInterval: 1000,
};
/** How long a client may go on sending its request after our reply. Some read the reply only when all is sent. */
const REQUEST_END_LIMIT_MS = 1000;
/** How long a reply may wait for a client that does not read. The buffers of the operating system take the first ones. */
const UNREAD_LIMIT_MS = 5000;

/** The demo's HTTP server, which does not listen yet. */
export function createDemoServer(options: DemoServerOptions): Server {
  const { redis, storeSettings, secureCookie, outages, stopping } = options;
  const { ttl, absoluteTtl } = storeSettings;
  const sessionCookie = new SessionCookie({ secure: secureCookie });
  const flashCookie = new FlashCookie({ secure: secureCookie });
  const assets = loadAssets();
  const cookieSettings = { cookieName: sessionCookie.name, isCookieSecure: secureCookie };
  const page = createPage({ ...cookieSettings, redisAddress: redis.address, ttl, absoluteTtl }, assets);
  const handlers = new Handlers({ sessionCookie, flashCookie, page, redis, ttl, absoluteTtl });
  const store = new DemoStore({ redis: redis.client, ...storeSettings });
  const raceLab = new RaceLab({ store, redis: redis.client, absoluteTtl });
  const contextDependencies = { redis: redis.client, store, storeSettings, sessionCookie, flashCookie };
  const raceHandlers = new RaceHandlers({ raceLab, flashCookie });
  const router = new Router({ handlers, raceHandlers, assets, contextDependencies });
  const errorReplies = new ErrorReplies({ page, outages });

  // Node would refuse a request without a Host by itself, without the headers that every reply has.
  // And of two Host headers it would show the first one, but a proxy in front may have used the second one.
  const serverOptions = { ...TIME_LIMITS, requireHostHeader: false, joinDuplicateHeaders: true };
  return createSequentialServer(serverOptions, respond).on("clientError", replyToClientError);

  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      send(await replyTo(request, response), request, response);
    } catch (error) {
      console.error("A reply could not be sent:", error);
      response.destroy();
    }
  }

  /** Whatever a client sends can fail only inside this `try`, and each failure gets a reply too. */
  async function replyTo(request: IncomingMessage, response: ServerResponse): Promise<Reply> {
    try {
      assertHost(request, { acceptsAnyHost: secureCookie });
      return await router.reply(request, response);
    } catch (error) {
      return errorReplies.replyTo(request, error);
    }
  }

  function send({ status, headers, body }: Reply, request: IncomingMessage, response: ServerResponse): void {
    const allHeaders = [...SECURITY_HEADERS, ...headers, "Content-Length", String(Buffer.byteLength(body))];
    if (stopping.aborted) allHeaders.push("Connection", "close");
    response.writeHead(status, allHeaders);
    if (request.complete) response.end(body);
    else endAfterRequest(request, response, body);
    const isTaken = request.socket.writableLength === 0; // by the operating system
    if (!isTaken) closeIfUnread(response);
  }
}

/**
 * Sends a reply, and ends it only after the rest of the request. Otherwise Node could close the connection while the client
 * sends, and the client would get an error in place of the reply.
 */
function endAfterRequest(request: IncomingMessage, response: ServerResponse, body: Reply["body"]): void {
  response.flushHeaders(); // for a HEAD, which has no body to write
  response.write(body);
  request.on("end", () => response.end()).resume();
  setTimeout(() => request.complete || request.destroy(), REQUEST_END_LIMIT_MS).unref();
}

function closeIfUnread(response: ServerResponse): void {
  const timer = setTimeout(() => response.destroy(), UNREAD_LIMIT_MS);
  response.on("close", () => clearTimeout(timer));
}
