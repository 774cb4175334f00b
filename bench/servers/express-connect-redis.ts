/** Express with express-session and connect-redis, set up as their documentation does. */
import { RedisStore } from "connect-redis";
import express, { type Request } from "express";
import session, { type Session } from "express-session";
import { listen } from "./listen.ts";
import { connectRedis } from "./redis-client.ts";

type CountedSession = Session & { username?: string; page_views?: number };
const sessionOf = (request: Request): CountedSession => request.session;

const app = express();
app.use(express.urlencoded({ extended: false }));
app.use(
  session({
    name: "sid",
    secret: "a secret of at least thirty-two characters",
    store: new RedisStore({ client: await connectRedis(), prefix: "express:", ttl: 1800 }),
    resave: false,
    saveUninitialized: false,
    cookie: { httpOnly: true, sameSite: "lax" },
  }),
);

app.post("/login", (request, response, next) => {
  const { username } = request.body as { username: string };
  request.session.regenerate((error: unknown) => {
    if (error) return next(error);
    Object.assign(request.session, { username, page_views: 1 });
    return response.json({ username, page_views: 1 });
  });
});

app.get("/session", (request, response) => {
  const { username, page_views } = sessionOf(request);
  if (username === undefined) response.status(401).json({ error: "No active session" });
  else response.json({ username, page_views });
});

app.post("/increment", (request, response) => {
  const views = sessionOf(request).page_views;
  if (views === undefined) return response.status(401).json({ error: "No active session" });
  sessionOf(request).page_views = views + 1;
  return response.json({ page_views: views + 1 });
});

listen(app);
