/** Fastify with this store. */
import fastify, { type FastifyRequest } from "fastify";
import { SessionCookie } from "../../session-cookie.ts";
import { RedisSessionStore } from "../../session-store.ts";
import { connectRedis } from "./redis-client.ts";

const store = new RedisSessionStore({
  redis: await connectRedis(),
  fields: { username: String, page_views: Number },
});
const cookie = new SessionCookie();
const sessionId = ({ headers }: FastifyRequest) => cookie.read(headers.cookie);

const app = fastify();
app.addContentTypeParser("application/x-www-form-urlencoded", { parseAs: "string" }, (_request, body, done) => {
  done(null, Object.fromEntries(new URLSearchParams(String(body))));
});

app.post("/login", async (request, reply) => {
  const { username } = request.body as { username: string };
  await store.deleteSession(sessionId(request));
  const id = await store.createSession({ username, page_views: 1 });
  reply.header("Set-Cookie", cookie.set(id));
  return { username, page_views: 1 };
});

app.get("/session", async (request, reply) => {
  const session = await store.getSession(sessionId(request));
  if (session === null) return reply.code(401).send({ error: "No active session" });
  return { username: session.username, page_views: session.page_views };
});

app.post("/increment", async (request, reply) => {
  const views = await store.incrementField(sessionId(request), "page_views");
  if (views === null) return reply.code(401).send({ error: "No active session" });
  return { page_views: views };
});

console.log(await app.listen({ port: 0, host: "127.0.0.1" }));
