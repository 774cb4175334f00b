/** node:http alone, without a session and without Redis: replies as long as the demo server's. */
import { listen } from "./listen.ts";

const body = JSON.stringify("x".repeat(305));

listen((request, response) => {
  request.resume();
  response.setHeader("Content-Type", "application/json; charset=utf-8");
  response.setHeader("Content-Length", Buffer.byteLength(body));
  if (request.url === "/login") response.setHeader("Set-Cookie", "sid=none; Path=/; HttpOnly; SameSite=Lax");
  response.end(body);
});
