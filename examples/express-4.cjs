/**
 * Sessions in Express 4 and CommonJS JavaScript, from the installed package, with a Redis at localhost:6379 or at REDIS_URL:
 *
 *     npm install ./redis-session-store-1.0.0.tgz redis express@4
 *     node server.cjs
 */
const express = require("express");
const { connectRedis } = require("redis-session-store/redis-connection");
const { headerJar, isCrossSite, RequestSession, SessionCookie } = require("redis-session-store/session-cookie");
const { UserSessions } = require("redis-session-store/user-sessions");

const { PORT = "3000", REDIS_URL = "redis://localhost:6379", NODE_ENV } = process.env;

/** Express 4 does not handle the rejection of an async function, so without this a failure of Redis ends the process. */
const handleRejection = (handler) => (request, response, next) => void handler(request, response).then(undefined, next);

void main();

async function main() {
  const redis = await connectRedis(REDIS_URL, { ifUnavailable: "wait" });
  const store = new UserSessions({ redis, fields: { username: String, page_views: Number, cart_items: Number } });
  const server = createApplication(store).listen(Number(PORT), () => {
    console.log(`Listening on http://localhost:${PORT}`);
  });
  const stop = () => {
    server.close(() => redis.close());
    setInterval(() => server.closeIdleConnections(), 100).unref(); // close() closes only those that are idle already
    setTimeout(() => server.closeAllConnections(), 3000).unref(); // a browser may have sent nothing, or half a request
  };
  process.once("SIGTERM", stop).once("SIGINT", stop);
}

function createApplication(store) {
  const cookie = new SessionCookie({ secure: NODE_ENV === "production" }); // production means HTTPS
  const app = express();

  app.use((request, response, next) => {
    response.set("Cache-Control", "no-store");
    const isSafe = request.method === "GET" || request.method === "HEAD";
    const jar = headerJar(request.headers.cookie, (setCookie) => response.append("Set-Cookie", setCookie));
    response.locals.session = new RequestSession(store, cookie, jar);
    if (isSafe || !isCrossSite(request.headers)) next();
    else response.status(403).json({ error: "This request was sent by another site." });
  });
  app.use(express.urlencoded({ extended: false }));

  app.get(
    "/",
    handleRejection(async (_request, response) => {
      const session = await response.locals.session.read({ clearIfGone: true });
      response.json({ username: session?.username ?? null, cart_items: session?.cart_items ?? 0 });
    }),
  );

  app.post(
    "/cart",
    handleRejection(async (_request, response) => {
      const { session } = response.locals;
      const items = await store.incrementField(session.id, "cart_items");
      if (items !== null || (await session.write({ cart_items: 1 }))) response.json({ cart_items: items ?? 1 });
      else response.status(401).json({ error: "Session expired." });
    }),
  );

  app.post(
    "/login",
    handleRejection(async (request, response) => {
      const username = authenticate(request.body);
      if (username === undefined) {
        response.status(401).json({ error: "Wrong username or password." });
      } else {
        await response.locals.session.logIn({ username, page_views: 0 }, { user: username, keep: ["cart_items"] });
        response.json({ username });
      }
    }),
  );

  app.get(
    "/account",
    handleRejection(async (_request, response) => {
      const { session } = response.locals;
      const username = (await session.read())?.username;
      if (username === undefined) response.status(401).json({ error: "Log in first." });
      else response.json({ username, page_views: await store.incrementField(session.id, "page_views") });
    }),
  );

  app.post(
    "/logout",
    handleRejection(async (_request, response) => {
      await response.locals.session.logOut();
      response.json({ username: null });
    }),
  );

  app.use((error, _request, response, next) => {
    if (error.code === "REDIS_UNAVAILABLE")
      response.set("Retry-After", "1").status(503).json({ error: "Try again shortly." });
    else if (error.code === "SESSION_REVOKED") response.status(409).json({ error: "Log in again." });
    else next(error);
  });
  return app;
}

/** Returns the name of the user, or undefined. Replace this with your own check of the password against its hash. */
function authenticate({ username, password }) {
  return typeof username === "string" && /^\w{1,40}$/.test(username) && password === "secret" ? username : undefined;
}
