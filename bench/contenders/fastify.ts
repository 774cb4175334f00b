/** fastify, @fastify/session and connect-redis, set up as their documentation does; the page by ejs. */
import fastifyCookie from "@fastify/cookie";
import fastifyFormbody from "@fastify/formbody";
import fastifySession, { type SessionStore } from "@fastify/session";
import { RedisStore } from "connect-redis";
import fastify, { type FastifyRequest } from "fastify";
import { createClient } from "redis";
import { renderPage } from "./page.ts";

declare module "fastify" {
  interface Session {
    fields?: {
      username: string;
      page_views: number;
      session_ttl: number;
      created_at: string;
      last_accessed_at: string;
    };
  }
}

const TTL = 1800; // seconds
const client = await createClient({ url: process.env["REDIS_URL"] ?? "" }).connect();
const server = fastify();
await server.register(fastifyCookie);
await server.register(fastifyFormbody);
await server.register(fastifySession, {
  cookieName: "sid",
  secret: "a secret of at least thirty-two characters",
  store: new RedisStore({ client, prefix: "fastify:" }) as unknown as SessionStore,
  saveUninitialized: false,
  cookie: { httpOnly: true, sameSite: "lax", secure: false, maxAge: TTL * 1000 },
});

server.get("/session", (request, reply) => reply.send(toJson(request)));

server.post("/increment", async (request, reply) => {
  const { fields } = request.session;
  if (fields === undefined) return reply.code(401).send({ error: "No active session" });
  fields.page_views += 1;
  fields.last_accessed_at = new Date().toISOString();
  return { ...toJson(request), page_views: fields.page_views };
});

server.route<{ Body: { username: string } }>({
  method: "POST",
  url: "/login",
  async handler(request) {
    await request.session.regenerate();
    const now = new Date().toISOString();
    const { username } = request.body;
    request.session.fields = { username, page_views: 1, session_ttl: TTL, created_at: now, last_accessed_at: now };
    return toJson(request);
  },
});

server.get("/", async (request, reply) => {
  const fields = Object.entries(request.session.fields ?? {}).map(([field, value]) => [field, String(value)]);
  return reply.type("text/html; charset=utf-8").send(renderPage(request.session.sessionId, Object.fromEntries(fields)));
});

console.log(await server.listen({ port: 0, host: "127.0.0.1" }));

const toJson = ({ session: { fields, sessionId, cookie } }: FastifyRequest) => ({
  authenticated: fields !== undefined,
  session_id: sessionId,
  session: fields,
  configured_ttl: fields?.session_ttl,
  ttl: Math.ceil((cookie.maxAge ?? 0) / 1000),
});
