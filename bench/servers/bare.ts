/** node:http alone: no session, no Redis, replies of the size of the demo's. */
import { createServer } from "node:http";
import { listen } from "./listen.ts";

const JSON_BYTES = 305;
const PAGE_BYTES = 10_750;

const json = JSON.stringify("x".repeat(JSON_BYTES));
const page = `<!doctype html>${"x".repeat(PAGE_BYTES)}`;

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
