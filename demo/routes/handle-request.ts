import type { IncomingMessage, ServerResponse } from "node:http";
import { isCrossSite } from "../../session-cookie.ts";
import type { App } from "../app.ts";
import { readForm } from "../http/form-body.ts";
import { assertHost } from "../http/host.ts";
import { HttpError } from "../http/http-error.ts";
import type { Reply } from "../http/reply.ts";
import { errorReply } from "./error-reply.ts";
import { checkHealth, showFile, showPage, showScript } from "./page.ts";
import { runRace, runStep } from "./race-lab.ts";
import { createRequestContext, type RequestContext } from "./request-context.ts";
import { changeTtl, increment, logIn, logOut, rotate, showSession } from "./session.ts";
import { endOtherSessions, endSession, listSessions } from "./user-sessions.ts";

type Route = (context: RequestContext) => Reply | Promise<Reply>;

/** All but the files of the page. HEAD takes the route of GET, and Node leaves the body out. */
const ROUTES: Record<string, Route> = {
  "GET /": showPage,
  "GET /session": showSession,
  "POST /login": logIn,
  "POST /increment": increment,
  "POST /ttl": changeTtl,
  "POST /rotate": rotate,
  "POST /logout": logOut,
  "GET /sessions": listSessions,
  "POST /sessions/end": endSession,
  "POST /sessions/end-others": endOtherSessions,
  "POST /race": runRace,
  "POST /race/step": runStep,
  "GET /script": showScript,
  "GET /healthz": checkHealth,
};

/** Everything that a client can make fail is inside this `try`, so each failure gets a reply too. */
export async function handleRequest(app: App, request: IncomingMessage, response: ServerResponse): Promise<Reply> {
  let context: RequestContext | undefined;
  try {
    assertHost(request, { acceptsAnyHost: app.isCookieSecure });
    const { method = "", url = "" } = request;
    const [path = "", query] = url.split("?", 2); // not parsed as a URL: what a client sends need not be one
    const route = findRoute(app, method, path);
    if (method === "POST" && isCrossSite(request.headers)) {
      throw new HttpError(403, "This form was sent from another site.");
    }
    const form = method === "POST" ? await readForm(request, response) : NO_PARAMETERS;
    const parameters = query === undefined ? NO_PARAMETERS : new URLSearchParams(query);
    context = createRequestContext(app, request, { path, query: parameters, form });
    return await route(context);
  } catch (error) {
    return errorReply(app, request, context, error);
  }
}

const NO_PARAMETERS = new URLSearchParams();

/** Throws a 404 or, with the methods that are allowed, a 405. */
function findRoute({ files }: App, method: string, path: string): Route {
  const get = files.has(path) ? showFile : ROUTES[`GET ${path}`];
  const post = ROUTES[`POST ${path}`];
  const route = method === "POST" ? post : method === "GET" || method === "HEAD" ? get : undefined;
  if (route !== undefined) return route;
  if (get === undefined && post === undefined) throw new HttpError(404, "There is nothing at this address.");
  const allow = get === undefined ? "POST" : "GET, HEAD";
  throw new HttpError(405, `This address accepts ${allow} only.`, { headers: [["Allow", allow]] });
}
