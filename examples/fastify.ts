/**
 * Sessions in Fastify 5, with a Redis at localhost:6379 or at REDIS_URL:
 *
 *     npx tsx examples/fastify.ts
 *
 * It needs the packages `redis`, `fastify` and `bowser`.
 */
import { parse as parseUserAgent } from "bowser";
import fastify, { type FastifyReply, type FastifyRequest } from "fastify";
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
  readonly statusCode: number;
  constructor(statusCode: number, message: string) {
    super(message);
    this.statusCode = statusCode;
  }
}

const app = fastify({ bodyLimit: MAX_BODY_BYTES });
app.addContentTypeParser("application/x-www-form-urlencoded", { parseAs: "string" }, (_request, body, done) => {
  done(null, Object.fromEntries(new URLSearchParams(body.toString())));
});

app.addHook("onRequest", async ({ headers, method }, reply) => {
  reply.headers({ "Cache-Control": "no-store", Vary: "Origin" });
  const { origin = "-", host, "sec-fetch-site": site = "-" } = headers;
  if (allowedOrigins.includes(origin)) {
    reply.headers({ "Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true" });
  }
  const isSafe = method === "GET" || method === "HEAD";
  if (!isSafe && isCrossSite(headers, { allowedOrigins })) {
    throw new HttpError(403, `Sent by another site: Origin ${origin}, Host ${host}, Sec-Fetch-Site ${site}.`);
  }
});

/** A browser asks before it sends certain requests of another origin (CORS preflight). */
app.options("*", async (_request, reply) => {
  reply.headers({ "Access-Control-Allow-Methods": "GET,POST", "Access-Control-Allow-Headers": "Content-Type" });
  return reply.code(204).send();
});

/** The page that everybody sees. An anonymous visitor may have a session, too. */
app.get("/", async (request, reply) => {
  const session = await sessionOf(request, reply).read({ clearIfGone: true });
  return { username: session?.username ?? null, cart_items: session?.cart_items ?? 0 };
});

app.post("/cart", async (request, reply) => {
  const session = sessionOf(request, reply);
  const items = await store.incrementField(session.id, "cart_items");
  if (items === null && !(await session.write({ cart_items: 1 }))) throw new HttpError(401, EXPIRED);
  return { cart_items: items ?? 1 };
});

app.post("/login", async (request, reply) => {
  const username = authenticate(formOf(request));
  const session = sessionOf(request, reply);
  const device = deviceOf(request.headers["user-agent"]);
  await session.logIn({ username, device, page_views: 0 }, { user: username, keep: ["cart_items"] });
  return { username };
});

/** A page for users only. */
app.get("/account", async (request, reply) => {
  const { id, username } = await requireUser(request, reply);
  const page_views = await store.incrementField(id, "page_views");
  return { username, page_views };
});

/** The sessions of the user, on all devices. */
app.get("/sessions", async (request, reply) => {
  const { id, username } = await requireUser(request, reply);
  const sessions = await store.listSessions(username);
  const current = store.handleOf(id);
  return sessions.map(({ handle, session: { device, created_at } }) => {
    return { handle, device, started: created_at, current: handle === current };
  });
});

app.post("/sessions/end", async (request, reply) => {
  const { username } = await requireUser(request, reply);
  const { handle } = formOf(request);
  if (typeof handle !== "string" || !(await store.endSession(username, handle)))
    throw new HttpError(404, "No such session.");
  return { ended: 1 };
});

app.post("/sessions/end-others", async (request, reply) => {
  const { id, username } = await requireUser(request, reply);
  return { ended: await store.endSessions(username, { except: id }) };
});

app.post("/logout", async (request, reply) => {
  await sessionOf(request, reply).logOut();
  return { username: null };
});

app.setErrorHandler((error: Partial<HttpError & { code: string }>, _request, reply) => {
  const { code, statusCode = 500, message } = error;
  if (code === "REDIS_UNAVAILABLE") {
    return reply.code(503).header("Retry-After", "1").send({ error: "Try again shortly." });
  }
  if (code === "SESSION_REVOKED") return reply.code(409).send({ error: "Log in again." });
  if (statusCode < 500) return reply.code(statusCode).send({ error: message });
  console.error(error);
  return reply.code(500).send({ error: "Something went wrong." });
});

await app.listen({ port: Number(PORT) });
console.log(`Listening on http://localhost:${PORT}`);

/** Replies to the requests under way and closes the connection to Redis. Then the process ends by itself. */
function stop() {
  app.close(() => void redis.close());
  setTimeout(() => app.server.closeAllConnections(), STOP_LIMIT_MS).unref();
}
process.once("SIGTERM", stop).once("SIGINT", stop);

type Form = Record<string, unknown>;

function formOf(request: FastifyRequest): Form {
  return (request.body as Form | undefined) ?? {};
}

function sessionOf(request: FastifyRequest, reply: FastifyReply) {
  const jar = headerJar(request.headers.cookie, (setCookie) => reply.header("Set-Cookie", setCookie)); // it appends
  return new RequestSession(store, cookie, jar);
}

async function requireUser(request: FastifyRequest, reply: FastifyReply) {
  const session = sessionOf(request, reply);
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
