/** The session that a route needs. Without one, a 401 is thrown. */
import { userOf } from "../../user-sessions.ts";
import { HttpError } from "../http/http-error.ts";
import type { RequestContext } from "./request-context.ts";

/** The ID in the cookie. There need not be such a session. */
export function requireSessionId({ sessionId }: RequestContext): string {
  if (sessionId === undefined) throw new HttpError(401, "No active session");
  return sessionId;
}

/** The ID and the user of the session. The user is undefined if another program created the session. */
export async function requireSession(context: RequestContext, options: { refreshTtl?: boolean } = {}) {
  const id = requireSessionId(context);
  const session = await context.store.getSession(id, options);
  if (session === null) throw sessionExpired();
  return { id, user: userOf(session) };
}

export const sessionExpired = () => new HttpError(401, "Session expired");
