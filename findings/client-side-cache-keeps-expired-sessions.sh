#!/usr/bin/env bash
# With clientSideCache, node-redis keeps what it has read, because Redis tells it when that is no longer valid, as its README says.
# But when a TTL ends, Redis tells nothing. It does when it deletes the key: when a command needs that key, or when its search
# in the background comes across it. The cache replies to the commands, so only the search is left, and among many keys with a
# TTL that takes minutes. Until then, the client returns a session that has ended. Among a few keys, it is gone in a moment.
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
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "redis";

const socket = { host: "127.0.0.1", port: Number(process.argv[2]) };
const plain = await createClient({ socket }).connect();
const caching = await createClient({ socket, RESP: 3, clientSideCache: { ttl: 0, maxEntries: 0, evictPolicy: "LRU" } }).connect();
const keys = Array.from({ length: 10 }, (_, i) => `session:${i}`);
const countRead = async (client) => (await Promise.all(keys.map((key) => client.get(key)))).filter((text) => text !== null).length;
const seen = {};
for (const others of [0, 500_000]) {
  await plain.flushAll();
  await plain.eval(`for i = 1, ${others} do redis.call("SET", "other:" .. i, "", "EX", 3600) end`);
  await Promise.all(keys.map((key) => plain.set(key, "andrew", { expiration: { type: "PX", value: 1000 } })));
  await countRead(caching);
  const counts = [];
  for (const waitMs of [10_000, 10_000]) {
    await sleep(waitMs);
    counts.push(await countRead(caching));
  }
  const inRedis = await countRead(plain); // now Redis deletes them
  await sleep(500);
  counts.push(await countRead(caching));
  seen[others] = counts;
  console.log(
    `10 sessions with a TTL of 1 s, ${others} other keys: after 10 s the caching client reads ${counts[0]}, ` +
      `after 20 s ${counts[1]}; another client reads ${inRedis}, and then the caching one ${counts[2]}`,
  );
}
caching.destroy();
plain.destroy();
const isAsDescribed = seen[0].every((count) => count === 0) && seen[500_000][1] >= 5 && seen[500_000][2] === 0;
console.log(isAsDescribed ? "As described." : "No longer as described.");
process.exit(isAsDescribed ? 0 : 1);
JS
"${REDIS_PROGRAM:-redis-server}" --version
npm ls --depth 0
node show.mjs "$port"
