import { isSessionId, type RedisSessionStore, type Session } from "../../session-store.ts";
import { type Answer, htmlAnswer, jsonAnswer, seeOther } from "./reply.ts";
import { ttlIn, usernameIn } from "./form.ts";
import { HttpError } from "./http-error.ts";
import { clearFlash, type Notice, type readFlash, setFlash, type Wire } from "./flash.ts";
import type { Page } from "../page/page.ts";
import type { SessionCookie } from "./session-cookie.ts";
import type { recordWire } from "../redis/command-log.ts";

export interface DemoData {
  username: string;
  page_views: number;
}
export type DemoSession = Session<DemoData>;

/** What a route gets to know of a request. */
export interface Visit {
  method: string;
  path: string;
  query: URLSearchParams;
  form: URLSearchParams;
  /** The ID in the cookie, whether or not it opens anything; undefined without a cookie. */
  sessionId: string | undefined;
  wantsHtml: boolean;
  /** What the last form did, to be said once on the page. */
  flash: ReturnType<typeof readFlash>;
  /** The Redis commands that this request costs, where a page will show them. */
  wire: ReturnType<typeof recordWire> | undefined;
  /** The port that the request came in on, which tells one server of several. */
  port: number | undefined;
}

export type Handler = (visit: Visit) => Answer | Promise<Answer>;
export type Route = { GET?: Handler; POST?: Handler };

/** What the routes work with. */
export interface Parts {
  store: RedisSessionStore<DemoData>;
  cookie: SessionCookie;
  page: Page;
  /** Milliseconds until Redis removes the session's key: for the page, which counts in tenths of a second. */
  timeLeft: (id: string) => Promise<number>;
  /** Rejects unless every master of Redis answers. */
  ping: () => Promise<unknown>;
  /** Seconds: the largest TTL that a form may ask for. */
  absoluteTtl: number;
}

export function createRoutes({ store, cookie, page, timeLeft, ping, absoluteTtl }: Parts) {
  const table = new Map<string, Route>([
    ["/", { GET: (visit) => showPage(visit) }],
    ["/session", { GET: showSession }],
    ["/login", { POST: logIn }],
    ["/increment", { POST: increment }],
    ["/ttl", { POST: changeTtl }],
    ["/rotate", { POST: rotate }],
    ["/logout", { POST: logOut }],
    ["/healthz", { GET: checkHealth }],
    ...page.assets.map(({ path, answer }): [string, Route] => [path, { GET: () => answer }]),
  ]);
  return { find: (path: string) => table.get(path), showPage };

  /** The page; after a mistake in a form, the page with the mistake in place, which does not use the session. */
  async function showPage(visit: Visit, mistake?: HttpError): Promise<Answer> {
    const { sessionId } = visit;
    const [session, left] = await Promise.all([
      mistake ? look(sessionId) : read(visit),
      isSessionId(sessionId) ? timeLeft(sessionId) : 0,
    ]);
    const html = page.renderSession({ visit, session, left, mistake, wire: wireOf(visit, [sessionId]) });
    return htmlAnswer(html, mistake?.status, [
      ...(visit.flash === undefined ? [] : ["Set-Cookie", clearFlash(cookie.isSecure)]),
      ...(sessionId !== undefined && session === null ? ["Set-Cookie", cookie.clear()] : []),
    ]);
  }

  async function showSession(visit: Visit): Promise<Answer> {
    const session = await read(visit);
    if (visit.sessionId !== undefined && session) return jsonAnswer(toJson(visit.sessionId, session));
    const headers = visit.sessionId === undefined ? [] : ["Set-Cookie", cookie.clear()];
    return jsonAnswer({ authenticated: false, session: null }, 200, headers);
  }

  /** A session that the browser already had ends, once there is a new one: its ID is worth nothing after the log-in. */
  async function logIn(visit: Visit): Promise<Answer> {
    const data = { username: usernameIn(visit.form), page_views: 1 };
    const limit = visit.form.has("ttl") ? { ttl: ttlIn(visit.form, absoluteTtl) } : {};
    const id = await store.createSession(data, limit);
    const [session] = await Promise.all([
      lookFor(visit, id),
      visit.sessionId === undefined ? false : store.deleteSession(visit.sessionId),
    ]);
    return done(visit, "started", id, session, { headers: ["Set-Cookie", cookie.set(id)] });
  }

  async function increment(visit: Visit): Promise<Answer> {
    const id = idOf(visit);
    const [page_views, session] = await Promise.all([store.incrementField(id, "page_views"), lookFor(visit, id)]);
    return done(visit, "counted", id, page_views === null ? null : session, { more: { page_views } });
  }

  async function changeTtl(visit: Visit): Promise<Answer> {
    const id = idOf(visit);
    const ttl = ttlIn(visit.form, absoluteTtl);
    const [isChanged, session] = await Promise.all([store.setSessionTtl(id, ttl), lookFor(visit, id)]);
    return done(visit, "ttl", id, isChanged ? session : null);
  }

  async function rotate(visit: Visit): Promise<Answer> {
    const id = await store.rotateSession(idOf(visit));
    if (id === null) throw expired();
    return done(visit, "rotated", id, await lookFor(visit, id), { headers: ["Set-Cookie", cookie.set(id)] });
  }

  /** To log out twice is no mistake. */
  async function logOut(visit: Visit): Promise<Answer> {
    if (visit.sessionId !== undefined) await store.deleteSession(visit.sessionId);
    const headers = ["Set-Cookie", cookie.clear()];
    if (visit.wantsHtml) return seeOther("/", [...headers, "Set-Cookie", flashOf(visit, "ended")]);
    return jsonAnswer({ authenticated: false }, 200, headers);
  }

  /** A Redis that answers PING may still refuse to write, and where one master takes a log-in, another may be out. */
  async function checkHealth(): Promise<Answer> {
    const [id] = await Promise.all([store.createSession({}, { ttl: 1 }), ping()]);
    await store.deleteSession(id);
    return jsonAnswer({ redis: "ok" });
  }

  /** The session, which this uses, unless the request asks for no more than a look. */
  async function read({ sessionId, query }: Visit): Promise<DemoSession | null> {
    if (sessionId === undefined) return null;
    return store.getSession(sessionId, { refreshTtl: query.get("refresh") !== "false" });
  }

  async function look(id: string | undefined): Promise<DemoSession | null> {
    return id === undefined ? null : store.getSession(id, { refreshTtl: false });
  }

  /** For a program: the session as it is after what was begun before, in the same round trip. A browser goes to the page. */
  async function lookFor({ wantsHtml }: Visit, id: string): Promise<DemoSession | null | undefined> {
    return wantsHtml ? undefined : look(id);
  }

  function expired(): HttpError {
    return new HttpError(401, "Session expired", { headers: ["Set-Cookie", cookie.clear()] });
  }

  /** The answer to a form that did its work, unless the session was gone. */
  function done(
    visit: Visit,
    notice: Notice,
    id: string,
    session: DemoSession | null | undefined,
    { headers = [], more }: { headers?: string[]; more?: object } = {},
  ): Answer {
    if (session === null) throw expired();
    if (session === undefined) return seeOther("/", [...headers, "Set-Cookie", flashOf(visit, notice, id)]);
    return jsonAnswer({ ...toJson(id, session), ...more }, 200, headers);
  }

  function flashOf(visit: Visit, notice: Notice, newId?: string): string {
    return setFlash(notice, wireOf(visit, [visit.sessionId, newId]), cookie.isSecure);
  }

  function wireOf({ method, path, wire }: Visit, ids: (string | undefined)[]): Wire {
    const keys = ids.filter((id) => id !== undefined).map((id) => store.keyOf(id));
    return { request: `${method} ${path}`, entries: wire?.entries(keys) ?? [] };
  }
}

const toJson = (session_id: string, session: DemoSession) => ({
  authenticated: true,
  session_id,
  session,
  configured_ttl: Number(session.session_ttl),
  ttl: Number(session.ttl),
});

function idOf({ sessionId }: Visit): string {
  if (sessionId === undefined) throw new HttpError(401, "No active session");
  return sessionId;
}
