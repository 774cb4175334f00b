/** What one writes in ten minutes: node:http, a hash in Redis, and none of what makes a session safe. */
import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createClient } from "redis";
import { listen } from "./listen.ts";
import { renderPage } from "./page.ts";

const TTL = 1800; // seconds
const redis = await createClient({ url: process.env["REDIS_URL"] ?? "" }).connect();

listen(createServer((request, response) => void answer(request, response)));

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const id = /sid=([^;]+)/.exec(request.headers.cookie ?? "")?.[1] ?? "";
  const key = `plain:${id}`;
  switch (request.url) {
    case "/login":
      return logIn(request, response);
    case "/increment":
      await redis.hIncrBy(key, "page_views", 1);
      return sendJson(response, id, await redis.hGetAll(key));
    case "/session":
      return sendJson(response, id, await redis.hGetAll(key));
    default:
      response.setHeader("Content-Type", "text/html; charset=utf-8");
      response.end(renderPage(id, { ...(await redis.hGetAll(key)) }));
  }
}

async function logIn(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = "";
  for await (const chunk of request) body += chunk;
  const id = randomBytes(32).toString("base64url");
  const now = new Date().toISOString();
  const username = new URLSearchParams(body).get("username") ?? "";
  const session = { username, page_views: "1", session_ttl: String(TTL), created_at: now, last_accessed_at: now };
  await redis.hSet(`plain:${id}`, session);
  await redis.expire(`plain:${id}`, TTL);
  response.setHeader("Set-Cookie", `sid=${id}; Path=/; HttpOnly; SameSite=Lax`);
  sendJson(response, id, session);
}

function sendJson(response: ServerResponse, session_id: string, session: Record<string, string>): void {
  response.setHeader("Content-Type", "application/json; charset=utf-8");
  response.end(JSON.stringify({ authenticated: true, session_id, session: { ...session } }));
}
