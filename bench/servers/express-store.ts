/** Express with this store. */
import express, { type Request } from "express";
import { SessionCookie } from "../../session-cookie.ts";
import { RedisSessionStore } from "../../session-store.ts";
import { listen } from "./listen.ts";
import { connectRedis } from "./redis-client.ts";

const store = new RedisSessionStore({
  redis: await connectRedis(),
  fields: { username: String, page_views: Number },
});
const cookie = new SessionCookie();
const sessionId = ({ headers }: Request) => cookie.read(headers.cookie);

const app = express();
app.use(express.urlencoded({ extended: false }));

app.post("/login", async (request, response) => {
  const { username } = request.body as { username: string };
  await store.deleteSession(sessionId(request));
  const id = await store.createSession({ username, page_views: 1 });
  response.appendHeader("Set-Cookie", cookie.set(id)).json({ username, page_views: 1 });
});

app.get("/session", async (request, response) => {
  const session = await store.getSession(sessionId(request));
  if (session === null) response.status(401).json({ error: "No active session" });
  else response.json({ username: session.username, page_views: session.page_views });
});

app.post("/increment", async (request, response) => {
  const views = await store.incrementField(sessionId(request), "page_views");
  if (views === null) response.status(401).json({ error: "No active session" });
  else response.json({ page_views: views });
});

listen(app);
