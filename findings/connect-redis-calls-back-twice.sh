#!/usr/bin/env bash
# A store of express-session replies through a callback. If that callback throws, connect-redis takes what was thrown for an error
# of its own and calls the callback a second time, with that error. A callback that continues a request therefore continues it
# twice, and what went wrong in the application looks like a failure of the store. MemoryStore calls back once.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund connect-redis@9.0.0 express-session@1.19.0 redis@6.3.1
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
"${REDIS_PROGRAM:-redis-server}" --port "$port" --bind 127.0.0.1 --save "" --dir "$folder" >redis.log &
server=$!
trap 'kill "$server"; wait "$server" || true; rm -rf "$folder"' EXIT
for _ in {1..100}; do (: > "/dev/tcp/127.0.0.1/$port") 2>/dev/null && break || sleep 0.1; done

cat > show.mjs <<'JS'
import { setTimeout as sleep } from "node:timers/promises";
import { RedisStore } from "connect-redis";
import session from "express-session";
import { createClient } from "redis";

process.on("uncaughtException", () => {}); // where an error that a callback throws belongs
process.on("unhandledRejection", () => {});
const client = await createClient({ socket: { host: "127.0.0.1", port: Number(process.argv[2]) } }).connect();
const stores = { "connect-redis": new RedisStore({ client }), MemoryStore: new session.MemoryStore() };
const calls = {};
for (const [name, store] of Object.entries(stores)) {
  calls[name] = [];
  store.get("an ID without a session", (error) => {
    calls[name].push(error === null || error === undefined ? "no error" : error.message);
    if (calls[name].length === 1) throw new Error("thrown by the application");
  });
  await sleep(500);
  console.log(`${name} called back ${calls[name].length} times: ${calls[name].join(", then ")}`);
}
client.destroy();
const isTwice = calls["connect-redis"].join() === "no error,thrown by the application";
const isAsDescribed = isTwice && calls.MemoryStore.join() === "no error";
console.log(isAsDescribed ? "As described." : "No longer as described.");
process.exit(isAsDescribed ? 0 : 1);
JS
"${REDIS_PROGRAM:-redis-server}" --version
npm ls --depth 0
node show.mjs "$port"
