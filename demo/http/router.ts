import type { IncomingMessage, ServerResponse } from "node:http";
import type { Asset } from "../page/assets.ts";
import { assertSameSite } from "./cross-site.ts";
import { readForm } from "./form.ts";
import type { Handler, Handlers } from "./handlers.ts";
import { HttpError } from "./http-error.ts";
import type { RaceHandlers } from "./race-handlers.ts";
import { assetReply, type Reply } from "./reply.ts";
import { type ContextDependencies, createRequestContext, type RequestContext } from "./request-context.ts";

/** The handler of a path for each method. HEAD is GET: Node leaves the body out. */
type Route = Partial<Record<"GET" | "POST", Handler>>;

export interface RouterDependencies {
  handlers: Handlers;
  raceHandlers: RaceHandlers;
  assets: Asset[];
  contextDependencies: ContextDependencies;
}

/** Finds the handler of a request and calls it. */
export class Router {
  readonly #handlers: Handlers;
  readonly #routes: Map<string, Route>;
  readonly #contextDependencies: ContextDependencies;

  constructor({ handlers, raceHandlers, assets, contextDependencies }: RouterDependencies) {
    this.#handlers = handlers;
    this.#contextDependencies = contextDependencies;
    this.#routes = new Map<string, Route>([
      ["/", { GET: (context) => handlers.showPage(context) }],
      ["/session", { GET: (context) => handlers.showSession(context) }],
      ["/script", { GET: (context) => handlers.showScript(context) }],
      ["/login", { POST: (context) => handlers.logIn(context) }],
      ["/increment", { POST: (context) => handlers.increment(context) }],
      ["/ttl", { POST: (context) => handlers.changeTtl(context) }],
      ["/rotate", { POST: (context) => handlers.rotate(context) }],
      ["/logout", { POST: (context) => handlers.logOut(context) }],
      ["/sessions", { GET: (context) => handlers.listSessions(context) }],
      ["/sessions/end", { POST: (context) => handlers.endSession(context) }],
      ["/sessions/end-others", { POST: (context) => handlers.endOtherSessions(context) }],
      ["/race", { POST: (context) => raceHandlers.race(context) }],
      ["/race/step", { POST: (context) => raceHandlers.takeStep(context) }],
      ["/healthz", { GET: (context) => handlers.checkHealth(context) }],
      ...assets.map((asset): [string, Route] => [asset.path, { GET: () => assetReply(asset) }]),
    ]);
  }

  async reply(request: IncomingMessage, response: ServerResponse): Promise<Reply> {
    const context = createRequestContext(request, this.#contextDependencies);
    const handler = this.#find(context);
    if (context.method !== "POST") return handler(context);
    assertSameSite(request); // before the body is read
    const form = await readForm(request, response);
    return this.#handlers.handleForm({ ...context, form }, handler);
  }

  /** Throws a 404 or, with the methods that are allowed, a 405. */
  #find({ method, path }: RequestContext): Handler {
    const route = this.#routes.get(path);
    if (route === undefined) throw new HttpError(404, "There is nothing at this address.");
    const handler = method === "POST" ? route.POST : method === "GET" || method === "HEAD" ? route.GET : undefined;
    if (handler !== undefined) return handler;
    const allow = route.GET === undefined ? "POST" : "GET, HEAD";
    throw new HttpError(405, `This address accepts ${allow} only.`, { headers: ["Allow", allow] });
  }
}
