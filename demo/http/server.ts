import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { RedisUnavailableError } from "../../session-store.ts";
import { loadAssets } from "../page/assets.ts";
import { createPage } from "../page/render.ts";
import { RaceLab } from "../race-lab/race-lab.ts";
import type { Redis } from "../redis/connect.ts";
import type { OutageLog } from "../redis/outage-log.ts";
import { DemoStore, type StoreSettings } from "../store.ts";
import { replyToClientError } from "./client-error.ts";
import { readOneRequestAtATime } from "./connection-reader.ts";
import { FlashCookie } from "./flash.ts";
import { readForm } from "./form.ts";
import { Handlers } from "./handlers.ts";
import { assertHost } from "./host.ts";
import { HttpError } from "./http-error.ts";
import { htmlReply, jsonReply, type Reply } from "./reply.ts";
import { createRequestContext, pathOf, wantsHtml } from "./request-context.ts";
import { RaceHandlers } from "./race-handlers.ts";
import { Router } from "./router.ts";
import { SECURITY_HEADERS } from "./security-headers.ts";
import { isCrossSite, SessionCookie } from "../../session-cookie.ts";

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
/** The kernel takes several replies for a client that does not read. After that, the next one has to be taken by then. */
const UNREAD_LIMIT_MS = 5000;
/** A client may need to send the rest of its body before it reads a reply. */
const REST_LIMIT_MS = 1000;

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
  const router = new Router(handlers, new RaceHandlers(raceLab, flashCookie), assets);
  const contextDependencies = { redis: redis.client, store, storeSettings, sessionCookie, flashCookie };

  const onRequest: RequestListener = (request, response) => void respond(request, response);

  // A missing Host is refused below, with the headers of every reply.
  const server = createServer({ ...TIME_LIMITS, requireHostHeader: false }, onRequest)
    .on("checkContinue", onRequest)
    .on("checkExpectation", onRequest)
    .on("clientError", replyToClientError);
  readOneRequestAtATime(server);
  return server;

  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      send(await replyTo(request, response), request, response);
    } catch (error) {
      console.error("A reply could not be sent:", error);
      response.destroy();
    }
  }

  /** All that a client can make fail is inside this `try`, and each failure is a reply too. */
  async function replyTo(request: IncomingMessage, response: ServerResponse): Promise<Reply> {
    try {
      assertHost(request, secureCookie);
      const handler = router.find(request.method, pathOf(request));
      const form = await formOf(request, response);
      return await handler(createRequestContext(request, form, contextDependencies));
    } catch (error) {
      return errorReply(toHttpError(error), request);
    }
  }

  function send({ status, headers, body }: Reply, request: IncomingMessage, response: ServerResponse): void {
    const length = ["Content-Length", String(Buffer.byteLength(body))];
    const connection = stopping.aborted ? ["Connection", "close"] : [];
    response.writeHead(status, [...SECURITY_HEADERS, ...headers, ...length, ...connection]);
    response.end(body);
    if (!request.complete) dropTheRest(request);
    if (!response.writableFinished) limitUnread(response);
  }

  function errorReply({ status, message, headers }: HttpError, request: IncomingMessage): Reply {
    if (!wantsHtml(request)) return jsonReply({ error: message }, status, headers);
    return htmlReply(page.renderError(status, message, request.socket.localPort), status, headers);
  }

  function toHttpError(error: unknown): HttpError {
    if (error instanceof HttpError) return error;
    if (error instanceof RedisUnavailableError) {
      outages.failed(error.message);
      const headers = ["Retry-After", "1"];
      return new HttpError(503, "Redis cannot be used at the moment. Try again shortly.", { headers });
    }
    const requestId = randomUUID();
    console.error(`Request ${requestId} failed:`, error);
    return new HttpError(500, `Something went wrong here. In our log it is request ${requestId}.`);
  }
}

/** Another site's form is refused before it is read. */
async function formOf(request: IncomingMessage, response: ServerResponse): Promise<URLSearchParams> {
  if (request.method !== "POST") return new URLSearchParams();
  if (isCrossSite(request.headers)) throw new HttpError(403, "This form was sent from another site.");
  return readForm(request, response);
}

function dropTheRest(request: IncomingMessage): void {
  request.resume();
  setTimeout(() => request.complete || request.destroy(), REST_LIMIT_MS).unref();
}

function limitUnread(response: ServerResponse): void {
  const overdue = setTimeout(() => response.destroy(), UNREAD_LIMIT_MS);
  response.on("close", () => clearTimeout(overdue));
}
