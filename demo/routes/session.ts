/**
 * The routes of the browser's own session. They call the store themselves, because the page shows what each call does; an
 * application may find `RequestSession` in `session-cookie.ts` shorter.
 */
import type { Session } from "../../session-store.ts";
import { SessionRevokedError } from "../../user-sessions.ts";
import { deviceOf } from "../device.ts";
import type { Header } from "../http/headers.ts";
import { HttpError } from "../http/http-error.ts";
import { jsonReply, type Reply } from "../http/reply.ts";
import type { NoticeName } from "../page/notices.ts";
import { MAX_SHOWN } from "../page/user-sessions-view.ts";
import { absoluteTtlIn, ttlIn, usernameIn } from "./form-fields.ts";
import { redirectHome } from "./redirect-home.ts";
import type { RequestContext } from "./request-context.ts";
import { requireSessionId, sessionExpired } from "./require-session.ts";
import { sessionsToShow } from "./user-sessions.ts";

/** Leaves the cookie of a dead session alone: a log-in may have replaced it since this request was sent. */
export async function showSession(context: RequestContext): Promise<Reply> {
  const { store, sessionId, refreshesTtl } = context;
  const session = await store.getSession(sessionId, { refreshTtl: refreshesTtl });
  if (sessionId === undefined || session === null) return jsonReply({ authenticated: false, session: null });
  const sessions = await sessionsToShow(context, session);
  return jsonReply({
    ...toJson(sessionId, session),
    ...(Array.isArray(sessions) && { sessions: sessions.slice(0, MAX_SHOWN) }),
  });
}

/** Creates the new session, and then deletes the one that the browser had before. */
export async function logIn(context: RequestContext): Promise<Reply> {
  const { app, store, form, sessionId, userAgent } = context;
  const username = usernameIn(form);
  const absoluteTtl = absoluteTtlIn(form, app.absoluteTtl);
  const ttl = form.has("ttl") ? ttlIn(form, absoluteTtl) : Math.min(app.ttl, absoluteTtl);
  const options = { user: username, ttl, absoluteTtl };
  const data = { username, page_views: 1, device: deviceOf(userAgent) };
  const id = await store.createSession(data, options).catch(throwLogInError);
  await store.deleteSession(sessionId);
  const session = await readForJson(context, id);
  if (session === null) throw endedMeanwhile();
  return sessionReply(context, "started", id, session, { headers: [setSessionCookie(context, id)] });
}

export async function increment(context: RequestContext): Promise<Reply> {
  const id = requireSessionId(context);
  const [page_views, session] = await Promise.all([
    context.store.incrementField(id, "page_views").catch(throwIncrementError),
    readForJson(context, id),
  ]);
  if (page_views === null) throw sessionExpired();
  return sessionReply(context, "counted", id, session, { json: { page_views } });
}

export async function changeTtl(context: RequestContext): Promise<Reply> {
  const id = requireSessionId(context);
  const ttl = ttlIn(context.form, context.app.absoluteTtl);
  const [isChanged, session] = await Promise.all([context.store.setSessionTtl(id, ttl), readForJson(context, id)]);
  if (!isChanged) throw sessionExpired();
  return sessionReply(context, "ttl", id, session);
}

export async function rotate(context: RequestContext): Promise<Reply> {
  const id = await context.store.rotateSession(requireSessionId(context));
  if (id === null) throw sessionExpired();
  return sessionReply(context, "rotated", id, await readForJson(context, id), {
    headers: [setSessionCookie(context, id)],
  });
}

export async function logOut(context: RequestContext): Promise<Reply> {
  const { app, store, sessionId, wantsHtml } = context;
  await store.deleteSession(sessionId);
  const headers: Header[] = [["Set-Cookie", app.sessionCookie.clear()]];
  if (wantsHtml) return redirectHome(context, { notice: "ended" }, { headers });
  return jsonReply({ authenticated: false }, 200, headers);
}

/**
 * The session for a JSON reply; a browser is redirected and needs none. Where this is called together with an
 * operation, both are one round trip, and Redis runs them in order.
 */
function readForJson({ store, wantsHtml }: RequestContext, id: string): Promise<Session | null> | undefined {
  return wantsHtml ? undefined : store.getSession(id, { refreshTtl: false });
}

/** Redirects a browser to the page; a program gets the session as JSON. `json`: more fields of the JSON. */
function sessionReply(
  context: RequestContext,
  notice: NoticeName,
  id: string,
  session: Session | null | undefined,
  { headers = [], json = {} }: { headers?: Header[]; json?: object } = {},
): Reply {
  if (session === undefined) return redirectHome(context, { notice }, { headers });
  if (session === null) throw sessionExpired();
  return jsonReply({ ...toJson(id, session), ...json }, 200, headers);
}

const setSessionCookie = ({ app }: RequestContext, id: string): Header => ["Set-Cookie", app.sessionCookie.set(id)];

const toJson = (session_id: string, session: Session) => ({
  authenticated: true,
  session_id,
  session,
  configured_ttl: Number(session.session_ttl),
  ttl: Number(session.ttl),
});

function throwLogInError(error: unknown): never {
  throw error instanceof SessionRevokedError ? endedMeanwhile() : error;
}

const endedMeanwhile = () => new HttpError(409, "Your sessions were ended while you logged in. Log in again.");

/** Another program wrote text to `page_views`, or the largest number that it can hold. */
function throwIncrementError(error: unknown): never {
  if (error instanceof TypeError || error instanceof RangeError) {
    throw new HttpError(409, "page_views does not hold a number that can be incremented.");
  }
  throw error;
}
