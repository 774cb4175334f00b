import { randomUUID } from "node:crypto";
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from "node:http";
import type { Duplex } from "node:stream";
import { type RedisSessionStore, RedisUnavailableError } from "../../session-store.ts";
import { type Answer, htmlAnswer, jsonAnswer } from "./reply.ts";
import { isCrossSite } from "./cross-site.ts";
import { readForm } from "./form.ts";
import { readFlash } from "./flash.ts";
import { HttpError } from "./http-error.ts";
import type { OutageLog } from "../redis/outage-log.ts";
import { createPage } from "../page/page.ts";
import type { Redis } from "../redis/connect.ts";
import { createRoutes, type DemoData, type Parts, type Visit } from "./handlers.ts";
import { SessionCookie } from "./session-cookie.ts";
import { recordWire } from "../redis/command-log.ts";

/** On every answer. The policy lets the page load its own style sheet, script and icon, and nothing else. */
const SECURITY_HEADERS = [
  "Content-Security-Policy",
  "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  "X-Content-Type-Options",
  "nosniff",
  "Referrer-Policy",
  "same-origin", // not "no-referrer": with that, browsers send our own forms with `Origin: null`
];

export interface DemoParts {
  store: RedisSessionStore<DemoData>;
  redis: Pick<Redis, "address" | "timeLeft" | "ping">;
  secureCookie: boolean;
  /** Seconds: the TTL of a session for which none is chosen, and the largest that can be. */
  defaultTtl: number;
  absoluteTtl: number;
  outages: OutageLog;
  /** Aborted when the server stops: from then on an answer is the last one of its connection. */
  stopping: AbortSignal;
}

interface AppParts extends Parts {
  outages: OutageLog;
  stopping: AbortSignal;
}

const HANG_UP_MS = 1000;

/** For slow and silent clients, in milliseconds. A missing Host is refused by the app, with its headers. */
const LIMITS = {
  headersTimeout: 5000,
  requestTimeout: 10_000,
  connectionsCheckingInterval: 1000,
  requireHostHeader: false,
};

/** The demo's HTTP server, which does not listen yet. */
export function createDemoServer(parts: DemoParts): Server {
  const { store, redis, defaultTtl, absoluteTtl, outages, stopping } = parts;
  const cookie = new SessionCookie({ secure: parts.secureCookie });
  const page = createPage({
    cookieName: cookie.name,
    isCookieSecure: cookie.isSecure,
    redisAddress: redis.address,
    keyOf: (id) => store.keyOf(id),
    defaultTtl,
    absoluteTtl,
  });
  const timeLeft = (id: string) => redis.timeLeft(store.keyOf(id));
  const app = createApp({ store, cookie, page, timeLeft, ping: redis.ping, absoluteTtl, outages, stopping });
  return createServer(LIMITS, app).on("checkExpectation", app).on("clientError", refuse);
}

/**
 * Answers every request, whatever a client sends: all that can fail, from the reading of the URL on, does so inside
 * one `try`, and what is thrown there becomes an answer too.
 */
function createApp({ outages, stopping, ...parts }: AppParts): RequestListener {
  const routes = createRoutes(parts);

  return async (request, response) => {
    try {
      send(response, await answer(request));
    } catch (error) {
      console.error("An answer could not be sent:", error);
      response.destroy();
    }
  };

  function send(response: ServerResponse, { status, headers, body }: Answer): void {
    if (stopping.aborted) response.shouldKeepAlive = false;
    const length = ["Content-Length", String(Buffer.byteLength(body))];
    response.writeHead(status, [...SECURITY_HEADERS, ...headers, ...length]);
    response.end(body);
  }

  async function answer(request: IncomingMessage): Promise<Answer> {
    let visit: Visit | undefined;
    try {
      visit = visitOf(request);
      return await route(request, visit);
    } catch (error) {
      return await explain(toHttpError(error), wantsHtml(request), visit);
    } finally {
      visit?.wire?.stop();
    }
  }

  async function route(request: IncomingMessage, visit: Visit): Promise<Answer> {
    const needsHost = request.httpVersion === "1.1";
    if (needsHost && request.headers.host === undefined) throw new HttpError(400, "A request needs a Host header.");
    const methods = routes.find(visit.path);
    if (methods === undefined) throw new HttpError(404, "There is nothing at this address.");
    if (methods.GET && (request.method === "GET" || request.method === "HEAD")) return methods.GET(visit);
    if (methods.POST === undefined || request.method !== "POST") {
      const allow = methods.GET ? "GET, HEAD" : "POST";
      throw new HttpError(405, `This address takes ${allow} only.`, { headers: ["Allow", allow] });
    }
    if (isCrossSite(request.headers)) throw new HttpError(403, "This form was sent from another site.");
    visit.form = await readForm(request);
    return methods.POST(visit);
  }

  function visitOf(request: IncomingMessage): Visit {
    const [path = "", query = ""] = (request.url ?? "").split("?", 2);
    const asHtml = wantsHtml(request);
    return {
      method: request.method ?? "",
      path,
      query: new URLSearchParams(query),
      form: new URLSearchParams(),
      sessionId: parts.cookie.read(request.headers.cookie),
      wantsHtml: asHtml,
      flash: asHtml ? readFlash(request.headers.cookie) : undefined,
      wire: asHtml ? recordWire() : undefined,
      port: request.socket.localPort,
    };
  }

  /** A mistake in a form is shown on the page, where it can be mended; any other error has a page of its own. */
  async function explain(error: HttpError, asHtml: boolean, visit?: Visit): Promise<Answer> {
    if (!asHtml) return jsonAnswer({ error: error.message }, error.status, error.headers);
    if (visit !== undefined && (error.field !== undefined || error.status === 401)) {
      try {
        return await routes.showPage(visit, error);
      } catch (failure) {
        return explain(toHttpError(failure), asHtml);
      }
    }
    return htmlAnswer(parts.page.renderError(error), error.status, error.headers);
  }

  function toHttpError(error: unknown): HttpError {
    if (error instanceof HttpError) return error;
    if (error instanceof RedisUnavailableError) {
      outages.failed(error.message);
      return new HttpError(503, "Redis cannot be used at the moment. Try again shortly.", {
        headers: ["Retry-After", "1"],
      });
    }
    const requestId = randomUUID();
    console.error(`Request ${requestId} failed:`, error);
    return new HttpError(500, `Something went wrong here. In our log it is request ${requestId}.`);
  }
}

const wantsHtml = ({ headers }: IncomingMessage) => headers.accept?.includes("text/html") ?? false;

/** Answers what is no HTTP request at all, or one that never comes to its end. */
function refuse(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const { status, headers, body } = jsonAnswer({ error: "The request could not be understood." }, statusOf(error));
  const lines = [...SECURITY_HEADERS, ...headers, "Content-Length", String(body.length), "Connection", "close"]
    .map((text, index) => (index % 2 === 0 ? `${text}: ` : `${text}\r\n`))
    .join("");
  setTimeout(() => socket.destroy(), HANG_UP_MS).unref(); // the client need not hang up, but should have read this
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines}\r\n${body.toString()}`);
}

function statusOf({ code }: NodeJS.ErrnoException): number {
  if (code === "HPE_HEADER_OVERFLOW") return 431;
  return code === "ERR_HTTP_REQUEST_TIMEOUT" ? 408 : 400;
}
