#!/usr/bin/env bash
# A session kept as JSON in one key can be changed by a Lua script without a race: decode, change, encode. But the cjson library
# inside Redis writes at most 14 significant digits of a number, and an empty list as an object. So a script that adds 1 to a
# counter also changes the account number beside it, which JavaScript had written exactly.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund redis@6.3.1
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
"${REDIS_PROGRAM:-redis-server}" --port "$port" --bind 127.0.0.1 --save "" --dir "$folder" >redis.log &
server=$!
trap 'kill "$server"; wait "$server" || true; rm -rf "$folder"' EXIT
for _ in {1..100}; do (: > "/dev/tcp/127.0.0.1/$port") 2>/dev/null && break || sleep 0.1; done

cat > show.mjs <<'JS'
import { createClient } from "redis";

const redis = await createClient({ socket: { host: "127.0.0.1", port: Number(process.argv[2]) } }).connect();
const session = { account: 1234567890123456, page_views: 1, roles: [] };
await redis.set("session", JSON.stringify(session));
const script = `
  local session = cjson.decode(redis.call("GET", KEYS[1]))
  session.page_views = session.page_views + 1
  redis.call("SET", KEYS[1], cjson.encode(session))`;
await redis.eval(script, { keys: ["session"] });
const changed = JSON.parse(await redis.get("session"));
console.log("before:", JSON.stringify(session));
console.log("after: ", JSON.stringify(changed));
redis.destroy();
const { account, page_views, roles } = changed;
const isAsDescribed = account === 1234567890123500 && page_views === 2 && !Array.isArray(roles);
console.log(isAsDescribed ? "As described." : "No longer as described.");
process.exit(isAsDescribed ? 0 : 1);
JS
"${REDIS_PROGRAM:-redis-server}" --version
npm ls --depth 0
node show.mjs "$port"
