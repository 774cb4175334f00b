/** Fastify with @fastify/session and connect-redis, set up as their documentation does. */
import fastifyCookie from "@fastify/cookie";
import fastifySession from "@fastify/session";
import { RedisStore } from "connect-redis";
import fastify, { type FastifyRequest } from "fastify";
import { connectRedis } from "./redis-client.ts";

interface CountedSession {
  username?: string;
  page_views?: number;
  regenerate(): Promise<void>;
}
const sessionOf = (request: FastifyRequest) => (request as unknown as { session: CountedSession }).session;

const app = fastify();
app.addContentTypeParser("application/x-www-form-urlencoded", { parseAs: "string" }, (_request, body, done) => {
  done(null, Object.fromEntries(new URLSearchParams(String(body))));
});
await app.register(fastifyCookie);
await app.register(fastifySession, {
  cookieName: "sid",
  secret: "a secret of at least thirty-two characters",
  store: new RedisStore({ client: await connectRedis(), prefix: "fastify:", ttl: 1800 }),
  saveUninitialized: false,
  cookie: { httpOnly: true, sameSite: "lax", secure: false },
});

app.post("/login", async (request) => {
  const { username } = request.body as { username: string };
  await sessionOf(request).regenerate();
  Object.assign(sessionOf(request), { username, page_views: 1 });
  return { username, page_views: 1 };
});

app.get("/session", async (request, reply) => {
  const { username, page_views } = sessionOf(request);
  if (username === undefined) return reply.code(401).send({ error: "No active session" });
  return { username, page_views };
});

app.post("/increment", async (request, reply) => {
  const current = sessionOf(request);
  if (current.page_views === undefined) return reply.code(401).send({ error: "No active session" });
  current.page_views += 1;
  return { page_views: current.page_views };
});

console.log(await app.listen({ port: 0, host: "127.0.0.1" }));
