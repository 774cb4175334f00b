/** The routes of the list of a user's sessions. */
import { RedisUnavailableError, type Session } from "../../session-store.ts";
import { userOf } from "../../user-sessions.ts";
import { MAX_SESSIONS } from "../demo-store.ts";
import { HttpError } from "../http/http-error.ts";
import { jsonReply, type Reply } from "../http/reply.ts";
import { MAX_SHOWN, type SessionsToShow } from "../page/user-sessions-view.ts";
import { lastIn } from "./form-fields.ts";
import { redirectHome } from "./redirect-home.ts";
import type { RequestContext } from "./request-context.ts";
import { requireSession } from "./require-session.ts";

/** The part of the page with the list. */
const PART = "?sessions=true#devices";

/** Does not reset the idle timeout, because a page may ask each second. */
export async function listSessions(context: RequestContext): Promise<Reply> {
  const { id, user } = await requireSession(context, { refreshTtl: false });
  return jsonReply({ sessions: await context.store.listSessionsOf(user, id, MAX_SESSIONS) });
}

export async function endSession(context: RequestContext): Promise<Reply> {
  const { user } = await requireSession(context);
  const isEnded = user !== undefined && (await context.store.endSession(user, lastIn(context.form, "handle")));
  if (!isEnded) throw new HttpError(404, "You have no such session");
  return context.wantsHtml ? redirectHome(context, { notice: "otherEnded" }, { part: PART }) : jsonReply({ ended: 1 });
}

export async function endOtherSessions(context: RequestContext): Promise<Reply> {
  const { id, user } = await requireSession(context);
  const ended = user === undefined ? 0 : await context.store.endSessions(user, { except: id });
  return context.wantsHtml ? redirectHome(context, { notice: "othersEnded" }, { part: PART }) : jsonReply({ ended });
}

/** The list takes two more round trips, so it is read only if the request asks for it. */
export async function sessionsToShow(
  { query, store, sessionId = "" }: RequestContext,
  session: Session,
): Promise<SessionsToShow> {
  if (query.get("sessions") !== "true") return "unread";
  return store.listSessionsOf(userOf(session), sessionId, MAX_SHOWN + 1).catch((error: unknown) => {
    if (error instanceof RedisUnavailableError) return "unavailable"; // on a cluster, the session may still be there
    throw error;
  });
}
