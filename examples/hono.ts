/**
 * Sessions in Hono 4 on Node, with a Redis at localhost:6379 or at REDIS_URL:
 *
 *     npx tsx examples/hono.ts
 *
 * It needs the packages `redis`, `hono`, `@hono/node-server` and `bowser`.
 */
import type { Server } from "node:http";
import { serve } from "@hono/node-server";
import { parse as parseUserAgent } from "bowser";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { cors } from "hono/cors";
import { HTTPException } from "hono/http-exception";
import { connectRedis } from "../redis-connection/index.ts";
import { headerJar, isCrossSite, RequestSession, SessionCookie } from "../session-cookie.ts";
import { UserSessions } from "../user-sessions.ts";

const { PORT = "3000", REDIS_URL = "redis://localhost:6379", ALLOWED_ORIGINS, NODE_ENV } = process.env;

// Waits until Redis is there, and logs each outage.
const redis = await connectRedis({ url: REDIS_URL }, { ifUnavailable: "wait" });

const fields = { username: String, device: String, page_views: Number, cart_items: Number };
const store = new UserSessions({ redis, fields });
const cookie = new SessionCookie({ secure: NODE_ENV === "production" }); // production means HTTPS
/** Origins of pages on other hosts that may use this server, separated by commas: see `isCrossSite`. */
const allowedOrigins = ALLOWED_ORIGINS?.split(",") ?? [];
isCrossSite({}, { allowedOrigins }); // throws now if one of them is malformed

const MAX_BODY_BYTES = 100 * 1024;
const STOP_LIMIT_MS = 3000; // a browser may hold a connection open on which it has sent nothing, or half a request
const EXPIRED = "Session expired. Load the page again, or leave the cookie out.";

const app = new Hono();

app.use(cors({ origin: allowedOrigins, credentials: true }));
app.use(async (c, next) => {
  c.header("Cache-Control", "no-store");
  const isSafe = c.req.method === "GET" || c.req.method === "HEAD";
  const headers = c.req.header();
  if (!isSafe && isCrossSite(headers, { allowedOrigins })) {
    const { origin = "-", host, "sec-fetch-site": site = "-" } = headers;
    throw httpError(403, `Sent by another site: Origin ${origin}, Host ${host}, Sec-Fetch-Site ${site}.`);
  }
  await next();
});
app.use(bodyLimit({ maxSize: MAX_BODY_BYTES, onError: throwTooLong }));

/** The page that everybody sees. An anonymous visitor may have a session, too. */
app.get("/", async (c) => {
  const session = await sessionOf(c).read({ clearIfGone: true });
  return c.json({ username: session?.username ?? null, cart_items: session?.cart_items ?? 0 });
});

app.post("/cart", async (c) => {
  const session = sessionOf(c);
  const items = await store.incrementField(session.id, "cart_items");
  if (items === null && !(await session.write({ cart_items: 1 }))) throw httpError(401, EXPIRED);
  return c.json({ cart_items: items ?? 1 });
});

app.post("/login", async (c) => {
  const username = authenticate(await formOf(c));
  const device = deviceOf(c.req.header("User-Agent"));
  await sessionOf(c).logIn({ username, device, page_views: 0 }, { user: username, keep: ["cart_items"] });
  return c.json({ username });
});

/** A page for users only. */
app.get("/account", async (c) => {
  const { id, username } = await requireUser(c);
  const page_views = await store.incrementField(id, "page_views");
  return c.json({ username, page_views });
});

/** The sessions of the user, on all devices. */
app.get("/sessions", async (c) => {
  const { id, username } = await requireUser(c);
  const sessions = await store.listSessions(username);
  const current = store.handleOf(id);
  return c.json(
    sessions.map(({ handle, session: { device, created_at } }) => {
      return { handle, device, started: created_at, current: handle === current };
    }),
  );
});

app.post("/sessions/end", async (c) => {
  const { username } = await requireUser(c);
  const { handle } = await formOf(c);
  if (typeof handle !== "string" || !(await store.endSession(username, handle)))
    throw httpError(404, "No such session.");
  return c.json({ ended: 1 });
});

app.post("/sessions/end-others", async (c) => {
  const { id, username } = await requireUser(c);
  return c.json({ ended: await store.endSessions(username, { except: id }) });
});

app.post("/logout", async (c) => {
  await sessionOf(c).logOut();
  return c.json({ username: null });
});

app.onError((error, c) => {
  const code = "code" in error ? error.code : undefined;
  if (code === "REDIS_UNAVAILABLE") return c.json({ error: "Try again shortly." }, 503, { "Retry-After": "1" });
  if (code === "SESSION_REVOKED") return c.json({ error: "Log in again." }, 409);
  if (error instanceof HTTPException) return c.json({ error: error.message }, error.status);
  console.error(error);
  return c.json({ error: "Something went wrong." }, 500);
});

const server = serve({ fetch: app.fetch, port: Number(PORT) }, () => {
  console.log(`Listening on http://localhost:${PORT}`);
}) as Server;

/** Replies to the requests under way and closes the connection to Redis. Then the process ends by itself. */
function stop() {
  server.close(() => void redis.close());
  setInterval(() => server.closeIdleConnections(), 100).unref(); // close() closes only those that are idle already
  setTimeout(() => server.closeAllConnections(), STOP_LIMIT_MS).unref();
}
process.once("SIGTERM", stop).once("SIGINT", stop);

function throwTooLong(): never {
  throw httpError(413, "The form is too long.");
}

function httpError(status: 400 | 401 | 403 | 404 | 413, message: string): HTTPException {
  return new HTTPException(status, { message });
}

type Form = Record<string, unknown>;

async function formOf(c: Context): Promise<Form> {
  try {
    return await c.req.parseBody();
  } catch {
    throw httpError(400, "The form cannot be read.");
  }
}

function sessionOf(c: Context) {
  const jar = headerJar(c.req.header("Cookie"), (setCookie) => c.header("Set-Cookie", setCookie, { append: true }));
  return new RequestSession(store, cookie, jar);
}

async function requireUser(c: Context) {
  const session = sessionOf(c);
  const username = (await session.read())?.username;
  if (session.id === undefined || username === undefined) throw httpError(401, "Log in first.");
  return { id: session.id, username };
}

/** A short name of the browser, such as "Firefox on Linux", for the list of the user's sessions. */
function deviceOf(userAgent: string | undefined): string {
  const { browser, os } = parseUserAgent(userAgent?.slice(0, 500) || "unknown");
  return [browser.name, os.name].filter(Boolean).join(" on ") || "Unknown device";
}

/** Returns the name of the user. Replace this with your own check of the password against its hash. */
function authenticate({ username, password }: Form): string {
  if (typeof username === "string" && /^\w{1,40}$/.test(username) && password === "secret") return username;
  throw httpError(401, "Wrong username or password.");
}
