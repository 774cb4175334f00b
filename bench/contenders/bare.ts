/** The floor: node:http with an answer of the same size, made of nothing. */
import { createServer } from "node:http";
import { listen } from "./listen.ts";

const session = {
  session_ttl: "1800",
  created_at: "2026-04-08T12:34:56Z",
  last_accessed_at: "2026-04-08T12:40:10Z",
  username: "andrew",
  page_views: "1",
  ttl: "1800",
};
const json = JSON.stringify({
  authenticated: true,
  session_id: "x".repeat(43),
  session,
  configured_ttl: 1800,
  ttl: 1800,
});
const page = `<!doctype html>${"x".repeat(9000)}`;

listen(
  createServer((request, response) => {
    request.resume();
    const isPage = request.url === "/";
    const body = isPage ? page : json;
    response.setHeader("Content-Type", isPage ? "text/html; charset=utf-8" : "application/json; charset=utf-8");
    response.setHeader("Content-Length", Buffer.byteLength(body));
    if (request.url === "/login") response.setHeader("Set-Cookie", "sid=none; Path=/; HttpOnly; SameSite=Lax");
    response.end(body);
  }),
);
