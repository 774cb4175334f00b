/** express 5, express-session and connect-redis, set up as their documentation does; the page by ejs. */
import { createServer } from "node:http";
import { RedisStore } from "connect-redis";
import ejs from "ejs";
import express, { type Request } from "express";
import session from "express-session";
import { createClient } from "redis";
import { listen } from "./listen.ts";
import { EJS_OPTIONS, pageValues, TEMPLATE } from "./page.ts";

declare module "express-session" {
  interface SessionData {
    fields: { username: string; page_views: number; session_ttl: number; created_at: string; last_accessed_at: string };
  }
}

const TTL = 1800; // seconds
const client = await createClient({ url: process.env["REDIS_URL"] ?? "" }).connect();
const app = express();
app.engine("ejs", (path: string, values: object, callback: (error: Error | null, html?: string) => void) => {
  ejs.renderFile(path, values, { ...EJS_OPTIONS, filename: path }, callback);
});
app.use(express.urlencoded({ extended: false }));
app.use(
  session({
    name: "sid",
    secret: "a secret of at least thirty-two characters",
    store: new RedisStore({ client, prefix: "express:" }),
    resave: false,
    saveUninitialized: false,
    cookie: { httpOnly: true, sameSite: "lax", maxAge: TTL * 1000 },
  }),
);

app.get("/session", (request, response) => void response.json(toJson(request)));

app.post("/increment", (request, response) => {
  const { fields } = request.session;
  if (fields === undefined) {
    response.status(401).json({ error: "No active session" });
    return;
  }
  fields.page_views += 1;
  fields.last_accessed_at = new Date().toISOString();
  response.json({ ...toJson(request), page_views: fields.page_views });
});

app.post("/login", (request, response, next) => {
  const { username } = request.body as { username: string };
  request.session.regenerate((error: unknown) => {
    if (error) {
      next(error);
      return;
    }
    const now = new Date().toISOString();
    request.session.fields = { username, page_views: 1, session_ttl: TTL, created_at: now, last_accessed_at: now };
    response.json(toJson(request));
  });
});

app.get("/", (request, response) => {
  const fields = Object.entries(request.session.fields ?? {}).map(([field, value]) => [field, String(value)]);
  response.render(TEMPLATE, pageValues(request.sessionID, Object.fromEntries(fields)));
});

listen(createServer(app));

const toJson = ({ session: { fields, cookie }, sessionID }: Request) => ({
  authenticated: fields !== undefined,
  session_id: sessionID,
  session: fields,
  configured_ttl: fields?.session_ttl,
  ttl: Math.ceil((cookie.maxAge ?? 0) / 1000),
});
