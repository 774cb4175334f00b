#!/usr/bin/env bash
# With rolling: true and resave: false, a session of express-session lives for as long as it is used within its maxAge. When a
# request changes nothing, connect-redis extends the key, but not the expiry of the cookie in the JSON that the key holds. So in a
# session that was only read for longer than maxAge, request.session.cookie.maxAge is negative. request.session.save(), which the
# README of express-session advises for redirects, then deletes the session: the user is logged out. MemoryStore saves it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund express@5.3.0 express-session@1.19.0 connect-redis@10.0.0 redis@6.3.1
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
"${REDIS_PROGRAM:-redis-server}" --port "$port" --bind 127.0.0.1 --save "" --dir "$folder" >redis.log &
server=$!
trap 'kill "$server"; wait "$server" || true; rm -rf "$folder"' EXIT
for _ in {1..100}; do (: > "/dev/tcp/127.0.0.1/$port") 2>/dev/null && break || sleep 0.1; done

cat > show.mjs <<'JS'
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { createClient } from "redis";

const MAX_AGE_MS = 5000;
const client = await createClient({ socket: { host: "127.0.0.1", port: Number(process.argv[2]) } }).connect();
const stores = { MemoryStore: new session.MemoryStore(), "connect-redis": new RedisStore({ client }) };
const seen = {};
for (const [name, store] of Object.entries(stores)) {
  const app = express();
  const options = { resave: false, saveUninitialized: false, rolling: true, cookie: { maxAge: MAX_AGE_MS } };
  app.use(session({ store, secret: "any", ...options }));
  app.post("/log-in", (request, response) => {
    request.session.user = "andrew";
    response.end();
  });
  app.get("/", ({ session: { user, cookie } }, response) => response.json({ user, maxAge: cookie.maxAge }));
  app.post("/settings", (request, response, next) => {
    request.session.theme = "dark";
    request.session.save((error) => (error ? next(error) : response.redirect(303, "/")));
  });
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  let cookie = "";
  async function send(method, path) {
    const url = `http://127.0.0.1:${server.address().port}${path}`;
    const response = await fetch(url, { method, redirect: "manual", headers: { cookie } });
    cookie = response.headers.getSetCookie()[0]?.split(";")[0] ?? cookie;
    return response.text();
  }
  await send("POST", "/log-in");
  let page;
  const start = performance.now();
  while (performance.now() - start < MAX_AGE_MS + 1000) {
    await sleep(500);
    page = JSON.parse(await send("GET", "/"));
  }
  await send("POST", "/settings");
  const after = JSON.parse(await send("GET", "/"));
  server.close();
  seen[name] = { maxAgeIsNegative: page.maxAge < 0, before: page.user, after: after.user };
  console.log(`${name}: before save(): ${JSON.stringify(page)}, after it: ${JSON.stringify(after)}`);
}
client.destroy();
const expected = {
  MemoryStore: { maxAgeIsNegative: false, before: "andrew", after: "andrew" },
  "connect-redis": { maxAgeIsNegative: true, before: "andrew" },
};
const isAsDescribed = JSON.stringify(seen) === JSON.stringify(expected);
console.log(isAsDescribed ? "As described." : "No longer as described.");
process.exit(isAsDescribed ? 0 : 1);
JS
"${REDIS_PROGRAM:-redis-server}" --version
npm ls --depth 0
node show.mjs "$port"
