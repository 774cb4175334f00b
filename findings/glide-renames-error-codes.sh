#!/usr/bin/env bash
# An error reply of Redis begins with a code: NOSCRIPT, WRONGTYPE, ERR. Valkey GLIDE keeps some codes and replaces others by
# names of its own, behind a sentence. So a program that looks for the code at the beginning of the message, as it does with
# node-redis or ioredis, never sees NOSCRIPT, and does not send the script again with EVAL.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund redis@6.3.1 @valkey/valkey-glide@2.5.2
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
"${REDIS_PROGRAM:-redis-server}" --port "$port" --bind 127.0.0.1 --save "" --dir "$folder" >redis.log &
server=$!
trap 'kill "$server"; wait "$server" || true; rm -rf "$folder"' EXIT
for _ in {1..100}; do (: > "/dev/tcp/127.0.0.1/$port") 2>/dev/null && break || sleep 0.1; done

cat > show.mjs <<'JS'
import { GlideClient, Logger } from "@valkey/valkey-glide";
import { createClient } from "redis";

Logger.init("off");
const port = Number(process.argv[2]);
const nodeRedis = await createClient({ socket: { host: "127.0.0.1", port } }).connect();
const glide = await GlideClient.createClient({ addresses: [{ host: "127.0.0.1", port }] });
await nodeRedis.set("text", "abc");
const commands = [["EVALSHA", "f".repeat(40), "0"], ["INCR", "text"], ["LPUSH", "text", "x"]];
const codes = { nodeRedis: [], glide: [] };
for (const command of commands) {
  for (const [name, send] of [["nodeRedis", (c) => nodeRedis.sendCommand(c)], ["glide", (c) => glide.customCommand(c)]]) {
    const message = await send(command).then(String, (error) => error.message);
    codes[name].push(/^[A-Z]+(?=[ :])/.exec(message)?.[0] ?? "none");
    console.log(`${command[0]}, ${name}: ${message}`);
  }
}
nodeRedis.destroy();
glide.close();
const isAsDescribed = codes.nodeRedis.join() === "NOSCRIPT,ERR,WRONGTYPE" && codes.glide.join() === "none,none,WRONGTYPE";
console.log(isAsDescribed ? "As described." : "No longer as described.");
process.exit(isAsDescribed ? 0 : 1);
JS
"${REDIS_PROGRAM:-redis-server}" --version
npm ls --depth 0
node show.mjs "$port"
