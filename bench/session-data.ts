import session from "express-session";

/** The session that is stored where it does not matter what it holds. */
export const DATA = { username: "andrew", page_views: 1 };
export const FIELDS = { username: String, page_views: Number };
export const TTL = 86_400; // seconds: nothing expires meanwhile

/** What express-session hands to connect-redis: the attributes of the cookie and the data. */
export function toExpressSession(data: object): object {
  const cookie = Object.assign(new session.Cookie(), { maxAge: TTL * 1000, sameSite: "lax" });
  return { cookie, ...data };
}
