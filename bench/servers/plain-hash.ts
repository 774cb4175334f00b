/** node:http and Redis' commands for a hash and its expiry, without anything that makes a session safe. */
import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { listen } from "./listen.ts";
import { connectRedis } from "./redis-client.ts";

const TTL = 1800; // seconds
const redis = await connectRedis();

listen((request, response) => void handle(request, response));

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.setHeader("Content-Type", "application/json; charset=utf-8");
  response.end(JSON.stringify(await sessionOf(request, response)));
}

async function sessionOf(request: IncomingMessage, response: ServerResponse): Promise<Record<string, string>> {
  if (request.url === "/login") return logIn(request, response);
  const key = keyOf(/sid=([^;]+)/.exec(request.headers.cookie ?? "")?.[1] ?? "");
  const increment = request.url === "/increment" && redis.hIncrBy(key, "page_views", 1);
  const [session] = await Promise.all([redis.hGetAll(key), redis.expire(key, TTL), increment]);
  return session;
}

async function logIn(request: IncomingMessage, response: ServerResponse): Promise<Record<string, string>> {
  const id = randomBytes(32).toString("base64url");
  const username = new URLSearchParams(await text(request)).get("username") ?? "";
  const session = { username, page_views: "1" };
  await Promise.all([redis.hSet(keyOf(id), session), redis.expire(keyOf(id), TTL)]);
  response.setHeader("Set-Cookie", `sid=${id}; Path=/; HttpOnly; SameSite=Lax`);
  return session;
}

function keyOf(id: string): string {
  return `plain:${id}`;
}
