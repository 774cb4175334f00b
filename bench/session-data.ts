/** The session that is stored, in this store and in connect-redis. */
export const DATA = { username: "andrew", page_views: 1 };
export const FIELDS = { username: String, page_views: Number };

/** What connect-redis stores for express-session: JSON of the cookie's attributes and the data. */
export function expressSession(data: object, ttl: number): string {
  const cookie = {
    originalMaxAge: ttl * 1000,
    expires: new Date(Date.now() + ttl * 1000),
    httpOnly: true,
    path: "/",
    sameSite: "lax",
  };
  return JSON.stringify({ cookie, ...data });
}
