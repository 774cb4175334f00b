/**
 * The session of a request in Next. Copy it with the files that it imports, and change these three paths; or install the
 * package, and import from "redis-session-store/redis-connection" and so on.
 */
import { cookies } from "next/headers";
import { connectRedis } from "../../redis-connection/index.ts";
import { RequestSession, SessionCookie } from "../../session-cookie.ts";
import { UserSessions } from "../../user-sessions.ts";

const { REDIS_URL = "redis://localhost:6379", NODE_ENV } = process.env;

const cookie = new SessionCookie({ secure: NODE_ENV === "production" }); // production means HTTPS

/** Next may load this module more than once, so the connection is kept where each of them finds it. */
const shared = globalThis as { sessionStore?: ReturnType<typeof openStore> };

async function openStore() {
  const redis = await connectRedis(REDIS_URL, { ifUnavailable: "continue" });
  const fields = { username: String, device: String, cart_items: Number };
  return new UserSessions({ redis, fields });
}

/** Connects at the first call, and not when Next builds the application. */
export function getStore() {
  shared.sessionStore ??= openStore();
  return shared.sessionStore;
}

/** A component can only read the session. Actions and route handlers can also set the cookie, so they can do the rest. */
export async function getSession() {
  const jar = await cookies(); // first: it stops Next from prerendering the page when it builds
  return new RequestSession(await getStore(), cookie, {
    get: (name) => jar.get(name)?.value,
    set: (name, value, attributes) => jar.set(name, value, attributes),
  });
}
