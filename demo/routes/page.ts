/** The page, the script, the files that pages link, and the health of the server. */
import { isSessionId, type Session } from "../../session-store.ts";
import type { Header } from "../http/headers.ts";
import type { HttpError } from "../http/http-error.ts";
import { fileReply, htmlReply, jsonReply, type Reply } from "../http/reply.ts";
import { lastIn } from "./form-fields.ts";
import type { RequestContext } from "./request-context.ts";
import { sessionsToShow } from "./user-sessions.ts";

/** Resets the idle timeout and shows the notice of the last form, once. With `?refresh=false` it does neither. */
export async function showPage(context: RequestContext): Promise<Reply> {
  const { app, sessionId, flash, refreshesTtl } = context;
  const { html, session } = await renderPage(context);
  const headers: Header[] = [];
  if (refreshesTtl && flash !== undefined) headers.push(["Set-Cookie", app.flashCookie.clear()]);
  if (refreshesTtl && sessionId !== undefined && session === null)
    headers.push(["Set-Cookie", app.sessionCookie.clear()]);
  return htmlReply(html, 200, headers);
}

/** The page with the message to a form that was refused. Does not reset the idle timeout. */
export async function showMistake(context: RequestContext, mistake: HttpError): Promise<Reply> {
  const { html } = await renderPage(context, mistake);
  return htmlReply(html, mistake.status, mistake.headers);
}

/** The page while Redis does not reply: nothing is known of the session, and the cookie is left alone. */
export function showOutage(
  { app, store, sessionId = "", port }: RequestContext,
  { status, headers }: HttpError,
): Reply {
  const html = app.page.renderOutage({ sessionId, key: store.keyOf(sessionId) }, port);
  return htmlReply(html, status, headers);
}

async function renderPage(
  context: RequestContext,
  mistake?: HttpError,
): Promise<{ html: string; session: Session | null }> {
  const { app, method, path, store, commands, sessionId, form, port } = context;
  const refreshTtl = context.refreshesTtl && mistake === undefined;
  const flash = refreshTtl ? context.flash : undefined;
  const [session, clock] = await Promise.all([
    store.getSession(sessionId, { refreshTtl }),
    isSessionId(sessionId) ? store.readClock(sessionId) : undefined,
  ]);
  const cost = { request: `${method} ${path}`, commands: [...commands] }; // without those for the list of sessions
  const state = {
    sessionId,
    key: sessionId === undefined ? undefined : store.keyOf(sessionId),
    session,
    clock,
    sessions: session === null ? "unread" : await sessionsToShow(context, session),
    notice: flash?.notice,
    mistake,
    race: flash?.race,
    typed: {
      username: form.get("username") ?? undefined,
      ttl: lastIn(form, "ttl"),
      absoluteTtl: lastIn(form, "absolute_ttl"),
      rounds: lastIn(form, "rounds"),
    },
    costs: flash === undefined ? [cost] : [cost, flash],
    outage: undefined,
  } as const;
  return { html: app.page.renderSession(state, port), session };
}

/** The store's script, with the lines of one operation marked. */
export function showScript({ app, query, port }: RequestContext): Reply {
  return htmlReply(app.page.renderScript(query.get("operation"), port));
}

export function showFile({ app, path, acceptsGzip }: RequestContext): Reply {
  return fileReply(app.files.get(path)!, acceptsGzip);
}

export async function checkHealth({ app }: RequestContext): Promise<Reply> {
  await app.checkHealth();
  return jsonReply({ redis: "ok" });
}
