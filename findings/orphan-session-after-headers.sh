#!/usr/bin/env bash
# express-session decides about the cookie when the headers are sent, and about the store when the response ends. A new session
# that is first changed in between, as while a page is streamed, is therefore stored, and its cookie is never sent: with each
# request, one more session that nobody has stays in the store for a day. No error tells it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund express@5.3.0 express-session@1.19.0 connect-redis@9.0.0 redis@6.3.1
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
"${REDIS_PROGRAM:-redis-server}" --port "$port" --bind 127.0.0.1 --save "" --dir "$folder" >redis.log &
server=$!
trap 'kill "$server"; wait "$server" || true; rm -rf "$folder"' EXIT
for _ in {1..100}; do (: > "/dev/tcp/127.0.0.1/$port") 2>/dev/null && break || sleep 0.1; done

cat > show.mjs <<'JS'
import { setTimeout as sleep } from "node:timers/promises";
import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { createClient } from "redis";

const client = await createClient({ socket: { host: "127.0.0.1", port: Number(process.argv[2]) } }).connect();
const app = express();
app.use(session({ store: new RedisStore({ client }), secret: "any", resave: false, saveUninitialized: false }));
app.get("/before", (request, response) => {
  request.session.visited = true;
  response.write("the beginning of the page");
  response.end("and its end");
});
app.get("/after", (request, response) => {
  response.write("the beginning of the page");
  request.session.visited = true;
  response.end("and its end");
});
const server = app.listen(0, "127.0.0.1");
await sleep(100);
const seen = {};
for (const path of ["/before", "/after"]) {
  const response = await fetch(`http://127.0.0.1:${server.address().port}${path}`);
  await response.text(); // the response ends when the session has been stored
  const cookies = response.headers.getSetCookie().length;
  const keys = await client.keys("sess:*");
  seen[path] = [cookies, keys.length];
  const ttl = keys.length > 0 ? `, for ${await client.ttl(keys[0])} s` : "";
  console.log(`the session is changed ${path.slice(1)} the headers: ${cookies} cookies, ${keys.length} sessions stored${ttl}`);
  await client.flushAll();
}
server.close();
client.destroy();
const isAsDescribed = JSON.stringify(seen) === '{"/before":[1,1],"/after":[0,1]}';
console.log(isAsDescribed ? "As described." : "No longer as described.");
process.exit(isAsDescribed ? 0 : 1);
JS
"${REDIS_PROGRAM:-redis-server}" --version
npm ls --depth 0
node show.mjs "$port"
