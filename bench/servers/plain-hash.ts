/** node:http and a Redis hash, without anything that makes a session safe or lets it expire by idleness. */
import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { listen } from "./listen.ts";
import { connectRedis } from "./redis-client.ts";

const TTL = 1800; // seconds
const redis = await connectRedis();

listen(createServer((request, response) => void handle(request, response)));

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.url === "/login") return logIn(request, response);
  const id = /sid=([^;]+)/.exec(request.headers.cookie ?? "")?.[1] ?? "";
  const key = `plain:${id}`;
  if (request.url === "/increment") await redis.hIncrBy(key, "page_views", 1);
  sendJson(response, id, await redis.hGetAll(key));
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
