/**
 * Sessions in Express 5, with a Redis at localhost:6379 or at REDIS_URL:
 *
 *     npx tsx examples/express.ts
 *
 * It needs the packages `redis`, `express` and `bowser`.
 */
import { parse as parseUserAgent } from "bowser";
import express, { type NextFunction, type Request, type Response } from "express";
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

class HttpError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const app = express();

app.use(({ headers, method }, response, next) => {
  response.set("Cache-Control", "no-store").vary("Origin");
  const { origin = "-", host, "sec-fetch-site": site = "-" } = headers;
  if (allowedOrigins.includes(origin)) {
    response.set({ "Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true" });
  }
  const isSafe = method === "GET" || method === "HEAD";
  if (!isSafe && isCrossSite(headers, { allowedOrigins })) {
    throw new HttpError(403, `Sent by another site: Origin ${origin}, Host ${host}, Sec-Fetch-Site ${site}.`);
  }
  next();
});
/** A browser asks before it sends certain requests of another origin (CORS preflight). */
app.options("/{*path}", (_request, response) => {
  response.set({ "Access-Control-Allow-Methods": "GET,POST", "Access-Control-Allow-Headers": "Content-Type" });
  response.status(204).end();
});
app.use(express.urlencoded({ extended: false, limit: MAX_BODY_BYTES }));

/** The page that everybody sees. An anonymous visitor may have a session, too. */
app.get("/", async (request, response) => {
  const session = await sessionOf(request, response).read({ clearIfGone: true });
  response.json({ username: session?.username ?? null, cart_items: session?.cart_items ?? 0 });
});

app.post("/cart", async (request, response) => {
  const session = sessionOf(request, response);
  const items = await store.incrementField(session.id, "cart_items");
  if (items === null && !(await session.write({ cart_items: 1 }))) throw new HttpError(401, EXPIRED);
  response.json({ cart_items: items ?? 1 });
});

app.post("/login", async (request, response) => {
  const username = authenticate(formOf(request));
  const session = sessionOf(request, response);
  const device = deviceOf(request.headers["user-agent"]);
  await session.logIn({ username, device, page_views: 0 }, { user: username, keep: ["cart_items"] });
  response.json({ username });
});

/** A page for users only. */
app.get("/account", async (request, response) => {
  const { id, username } = await requireUser(request, response);
  const page_views = await store.incrementField(id, "page_views");
  response.json({ username, page_views });
});

/** The sessions of the user, on all devices. */
app.get("/sessions", async (request, response) => {
  const { id, username } = await requireUser(request, response);
  const sessions = await store.listSessions(username);
  const current = store.handleOf(id);
  response.json(
    sessions.map(({ handle, session: { device, created_at } }) => {
      return { handle, device, started: created_at, current: handle === current };
    }),
  );
});

app.post("/sessions/end", async (request, response) => {
  const { username } = await requireUser(request, response);
  const { handle } = formOf(request);
  if (typeof handle !== "string" || !(await store.endSession(username, handle)))
    throw new HttpError(404, "No such session.");
  response.json({ ended: 1 });
});

app.post("/sessions/end-others", async (request, response) => {
  const { id, username } = await requireUser(request, response);
  response.json({ ended: await store.endSessions(username, { except: id }) });
});

app.post("/logout", async (request, response) => {
  await sessionOf(request, response).logOut();
  response.json({ username: null });
});

app.use((error: unknown, _request: Request, response: Response, next: NextFunction) => {
  const { code, status, message } = error as Partial<HttpError & { code: string }>;
  if (code === "REDIS_UNAVAILABLE") response.set("Retry-After", "1").status(503).json({ error: "Try again shortly." });
  else if (code === "SESSION_REVOKED") response.status(409).json({ error: "Log in again." });
  else if (status !== undefined && status < 500) response.status(status).json({ error: message });
  else next(error);
});

const server = app.listen(Number(PORT), (error) => {
  if (error) throw error;
  console.log(`Listening on http://localhost:${PORT}`);
});

/** Replies to the requests under way and closes the connection to Redis. Then the process ends by itself. */
function stop() {
  server.close(() => void redis.close());
  setInterval(() => server.closeIdleConnections(), 100).unref(); // close() closes only those that are idle already
  setTimeout(() => server.closeAllConnections(), STOP_LIMIT_MS).unref();
}
process.once("SIGTERM", stop).once("SIGINT", stop);

type Form = Record<string, unknown>;

function formOf(request: Request): Form {
  return (request.body as Form | undefined) ?? {};
}

function sessionOf(request: Request, response: Response) {
  const jar = headerJar(request.headers.cookie, (setCookie) => response.append("Set-Cookie", setCookie));
  return new RequestSession(store, cookie, jar);
}

async function requireUser(request: Request, response: Response) {
  const session = sessionOf(request, response);
  const username = (await session.read())?.username;
  if (session.id === undefined || username === undefined) throw new HttpError(401, "Log in first.");
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
  throw new HttpError(401, "Wrong username or password.");
}
