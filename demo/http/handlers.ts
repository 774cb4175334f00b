import { isSessionId, RedisUnavailableError } from "../../session-store.ts";
import { SessionRevokedError, userOf } from "../../user-sessions.ts";
import { listDevices } from "../session-list.ts";
import type { Notice } from "../page/notices.ts";
import type { Page } from "../page/render.ts";
import { MAX_DEVICES, type PageState } from "../page/session-view.ts";
import type { Redis } from "../redis/connect.ts";
import { checkHealth } from "../redis/health.ts";
import type { DemoSession } from "../store.ts";
import type { FlashCookie } from "./flash.ts";
import { absoluteTtlIn, lastIn, ttlIn, usernameIn } from "./form.ts";
import { HttpError } from "./http-error.ts";
import { htmlReply, jsonReply, redirectHome, type Reply } from "./reply.ts";
import type { RequestContext } from "./request-context.ts";
import type { SessionCookie } from "../../session-cookie.ts";

export type Handler = (context: RequestContext) => Reply | Promise<Reply>;

export interface HandlerDependencies {
  sessionCookie: SessionCookie;
  flashCookie: FlashCookie;
  page: Page;
  redis: Pick<Redis, "ping">;
  /** The idle timeout in seconds, for sessions that are created without one. */
  ttl: number;
  /** The absolute timeout in seconds, for sessions that are created without one. No timeout may be longer. */
  absoluteTtl: number;
}

/** What a form did to a session. */
interface Outcome<Result> {
  /** The ID of the session, which may be a new one. */
  id: string;
  notice: Notice;
  headers?: string[];
  /** What the JSON reply holds besides the session. */
  json?: (result: Result) => object;
}

/**
 * The handlers of all routes, except those of the race lab and of files. They call the store themselves, because the page
 * shows what each call does; an application may find `RequestSession` in `session-cookie.ts` shorter.
 */
export class Handlers {
  readonly #dependencies: HandlerDependencies;

  constructor(dependencies: HandlerDependencies) {
    this.#dependencies = dependencies;
  }

  /** Resets the idle timeout and shows the notice of the last form, once. With `?refresh=false` it does neither. */
  async showPage(context: RequestContext): Promise<Reply> {
    const { sessionCookie, flashCookie } = this.#dependencies;
    const { sessionId, flash } = context;
    const refreshTtl = refreshesTtl(context);
    const { html, session } = await this.#renderPage(context, { refreshTtl });
    const headers: string[] = [];
    if (refreshTtl && flash !== undefined) headers.push("Set-Cookie", flashCookie.clear());
    if (refreshTtl && sessionId !== undefined && session === null) headers.push("Set-Cookie", sessionCookie.clear());
    return htmlReply(html, 200, headers);
  }

  /** The store's script, with the lines of one operation marked. */
  showScript({ query, port }: RequestContext): Reply {
    return htmlReply(this.#dependencies.page.renderScript(query.get("operation"), port));
  }

  /** Leaves the cookie of a dead session alone: a log-in may have replaced it since this request was sent. */
  async showSession(context: RequestContext): Promise<Reply> {
    const { store, sessionId } = context;
    const session = await store.getSession(sessionId, { refreshTtl: refreshesTtl(context) });
    if (sessionId === undefined || session === null) return jsonReply({ authenticated: false, session: null });
    const json = toJson(sessionId, session);
    if (!asksForDevices(context)) return jsonReply(json);
    const devices = await this.#devicesOf(context, session);
    return jsonReply(Array.isArray(devices) ? { ...json, sessions: devices.slice(0, MAX_DEVICES) } : json);
  }

  /** Runs a form's handler. If that throws an `HttpError`, a browser gets the page with the message; a program gets JSON. */
  async handleForm(context: RequestContext, handler: Handler): Promise<Reply> {
    try {
      return await handler(context);
    } catch (error) {
      if (!context.wantsHtml || !(error instanceof HttpError)) throw error;
      const { html } = await this.#renderPage(context, { refreshTtl: false, mistake: error });
      return htmlReply(html, error.status, error.headers);
    }
  }

  /** Creates the new session, and then deletes the one that the browser had before. */
  async logIn(context: RequestContext): Promise<Reply> {
    const { store, form, sessionId } = context;
    const username = usernameIn(form);
    const absoluteTtl = absoluteTtlIn(form, this.#dependencies.absoluteTtl);
    const ttl = form.has("ttl") ? ttlIn(form, absoluteTtl) : Math.min(this.#dependencies.ttl, absoluteTtl);
    const options = { user: username, ttl, absoluteTtl };
    const id = await store.createSession({ username, page_views: 1 }, options).catch(throwLogInError);
    await store.deleteSession(sessionId);
    return this.#reply(context, true, { id, notice: "started", headers: this.#setSessionCookie(id) });
  }

  async increment(context: RequestContext): Promise<Reply> {
    const id = requireSessionId(context);
    const incremented = context.store.incrementField(id, "page_views").catch(throwIncrementError);
    return this.#reply(context, incremented, { id, notice: "counted", json: (page_views) => ({ page_views }) });
  }

  async changeTtl(context: RequestContext): Promise<Reply> {
    const id = requireSessionId(context);
    const { absoluteTtl } = this.#dependencies;
    const changed = context.store.setSessionTtl(id, ttlIn(context.form, absoluteTtl));
    return this.#reply(context, changed, { id, notice: "ttl" });
  }

  async rotate(context: RequestContext): Promise<Reply> {
    const id = await context.store.rotateSession(requireSessionId(context));
    if (id === null) throw sessionExpired();
    return this.#reply(context, true, { id, notice: "rotated", headers: this.#setSessionCookie(id) });
  }

  async logOut(context: RequestContext): Promise<Reply> {
    const { store, sessionId, wantsHtml } = context;
    await store.deleteSession(sessionId);
    const headers = ["Set-Cookie", this.#dependencies.sessionCookie.clear()];
    return wantsHtml
      ? this.#redirectHome(context, "ended", headers)
      : jsonReply({ authenticated: false }, 200, headers);
  }

  /** Does not reset the idle timeout, because a page may ask each second. */
  async listSessions(context: RequestContext): Promise<Reply> {
    const { id, user } = await requireSession(context, { refreshTtl: false });
    return jsonReply({ sessions: await listDevices(context.store, id, user, MAX_LISTED) });
  }

  async endSession(context: RequestContext): Promise<Reply> {
    const { user } = await requireSession(context);
    const isEnded = user !== undefined && (await context.store.endSession(user, lastIn(context.form, "handle")));
    if (!isEnded) throw new HttpError(404, "You have no such session");
    return context.wantsHtml ? this.#redirectHome(context, "otherEnded", [], DEVICES) : jsonReply({ ended: 1 });
  }

  async endOtherSessions(context: RequestContext): Promise<Reply> {
    const { id, user } = await requireSession(context);
    const ended = user === undefined ? 0 : await context.store.endSessions(user, { except: id });
    return context.wantsHtml ? this.#redirectHome(context, "othersEnded", [], DEVICES) : jsonReply({ ended });
  }

  async checkHealth({ store }: RequestContext): Promise<Reply> {
    await checkHealth(store, this.#dependencies.redis);
    return jsonReply({ redis: "ok" });
  }

  /**
   * Waits for the operation; null or false means that the session is gone, which is a 401. Else a browser is redirected to
   * the page, and a program gets the session as JSON. That read is sent along with the operation: Redis runs both in order.
   */
  async #reply<Result>(
    context: RequestContext,
    operation: Result | Promise<Result>,
    { id, notice, headers = [], json = () => ({}) }: Outcome<Result>,
  ): Promise<Reply> {
    if (context.wantsHtml) {
      if (isGone(await operation)) throw sessionExpired();
      return this.#redirectHome(context, notice, headers);
    }
    const [result, session] = await Promise.all([operation, context.store.getSession(id, { refreshTtl: false })]);
    if (isGone(result) || session === null) throw sessionExpired();
    return jsonReply({ ...toJson(id, session), ...json(result) }, 200, headers);
  }

  #redirectHome({ method, path, commands }: RequestContext, notice: Notice, headers: string[], part = ""): Reply {
    const flash = { notice, request: `${method} ${path}`, commands };
    return redirectHome([...headers, "Set-Cookie", this.#dependencies.flashCookie.set(flash)], part);
  }

  async #renderPage(context: RequestContext, { refreshTtl, mistake }: { refreshTtl: boolean; mistake?: HttpError }) {
    const { method, path, store, commands, sessionId, form, flash, port } = context;
    const [session, clock] = await Promise.all([
      store.getSession(sessionId, { refreshTtl }),
      isSessionId(sessionId) ? store.readClock(sessionId) : undefined,
    ]);
    const shownFlash = refreshTtl ? flash : undefined;
    // The commands are copied, so that those for the list below are not counted.
    const cost = { request: `${method} ${path}`, commands: [...commands] };
    const state: PageState = {
      sessionId,
      key: sessionId === undefined ? undefined : store.keyOf(sessionId),
      session,
      clock,
      devices: session !== null && asksForDevices(context) ? await this.#devicesOf(context, session) : "unread",
      notice: shownFlash?.notice,
      mistake,
      race: shownFlash?.race,
      typed: {
        username: form.get("username") ?? undefined,
        ttl: lastIn(form, "ttl"),
        absoluteTtl: lastIn(form, "absolute_ttl"),
        rounds: lastIn(form, "rounds"),
      },
      costs: shownFlash === undefined ? [cost] : [cost, shownFlash],
    };
    return { html: this.#dependencies.page.renderSession(state, port), session };
  }

  async #devicesOf({ store, sessionId = "" }: RequestContext, session: DemoSession): Promise<PageState["devices"]> {
    return listDevices(store, sessionId, userOf(session), MAX_DEVICES + 1).catch((error: unknown) => {
      if (error instanceof RedisUnavailableError) return "unavailable"; // on a cluster, the session may still be there
      throw error;
    });
  }

  #setSessionCookie(id: string): string[] {
    return ["Set-Cookie", this.#dependencies.sessionCookie.set(id)];
  }
}

/** The most sessions in one list: many people may be logged in as Guest. */
const MAX_LISTED = 1000;

/** The part of the page with the list of the user's sessions. */
const DEVICES = "?sessions=true#devices";

const toJson = (session_id: string, session: DemoSession) => ({
  authenticated: true,
  session_id,
  session,
  configured_ttl: Number(session.session_ttl),
  ttl: Number(session.ttl),
});

function requireSessionId({ sessionId }: RequestContext): string {
  if (sessionId === undefined) throw new HttpError(401, "No active session");
  return sessionId;
}

/** The session of a request. Its user is undefined if another program created it. */
async function requireSession(context: RequestContext, options: { refreshTtl?: boolean } = {}) {
  const id = requireSessionId(context);
  const session = await context.store.getSession(id, options);
  if (session === null) throw sessionExpired();
  return { id, user: userOf(session) };
}

function throwLogInError(error: unknown): never {
  if (!(error instanceof SessionRevokedError)) throw error;
  throw new HttpError(409, "Your sessions were ended while you logged in. Log in again.");
}

/** Another program wrote text to `page_views`, or the largest number that it can hold. */
function throwIncrementError(error: unknown): never {
  if (error instanceof TypeError || error instanceof RangeError) {
    throw new HttpError(409, "page_views does not hold a number that can be incremented.");
  }
  throw error;
}

const isGone = (result: unknown) => result === null || result === false;
const sessionExpired = () => new HttpError(401, "Session expired");
/** The list of the user's sessions takes two more round trips, so it is read only if the request asks for it. */
const asksForDevices = ({ query }: RequestContext) => query.get("sessions") === "true";
const refreshesTtl = ({ query }: RequestContext) => query.get("refresh") !== "false";
