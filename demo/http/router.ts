import type { Asset } from "../page/assets.ts";
import type { Handler, Handlers } from "./handlers.ts";
import { HttpError } from "./http-error.ts";
import type { RaceHandlers } from "./race-handlers.ts";
import { assetReply } from "./reply.ts";

/** The handler of a path for each method. HEAD is GET: Node leaves the body out. */
type Route = Partial<Record<"GET" | "POST", Handler>>;

/** Which handler replies to which request. */
export class Router {
  readonly #routes: Map<string, Route>;

  constructor(handlers: Handlers, raceHandlers: RaceHandlers, assets: Asset[]) {
    const form = (handle: Handler): Route => ({ POST: (context) => handlers.handleForm(context, handle) });
    this.#routes = new Map<string, Route>([
      ["/", { GET: (context) => handlers.showPage(context) }],
      ["/session", { GET: (context) => handlers.showSession(context) }],
      ["/script", { GET: (context) => handlers.showScript(context) }],
      ["/login", form((context) => handlers.logIn(context))],
      ["/increment", form((context) => handlers.increment(context))],
      ["/ttl", form((context) => handlers.changeTtl(context))],
      ["/rotate", form((context) => handlers.rotate(context))],
      ["/logout", form((context) => handlers.logOut(context))],
      ["/sessions", { GET: (context) => handlers.listSessions(context) }],
      ["/sessions/end", form((context) => handlers.endSession(context))],
      ["/sessions/end-others", form((context) => handlers.endOtherSessions(context))],
      ["/race", form((context) => raceHandlers.race(context))],
      ["/race/step", { POST: (context) => raceHandlers.takeStep(context) }],
      ["/healthz", { GET: (context) => handlers.checkHealth(context) }],
      ...assets.map((asset): [string, Route] => [asset.path, { GET: () => assetReply(asset) }]),
    ]);
  }

  /** Throws a 404 or, with the methods that are allowed, a 405. */
  find(method: string | undefined, path: string): Handler {
    const route = this.#routes.get(path);
    if (route === undefined) throw new HttpError(404, "There is nothing at this address.");
    const handler = method === "POST" ? route.POST : method === "GET" || method === "HEAD" ? route.GET : undefined;
    if (handler !== undefined) return handler;
    const allow = route.GET === undefined ? "POST" : "GET, HEAD";
    throw new HttpError(405, `This address accepts ${allow} only.`, { headers: ["Allow", allow] });
  }
}
