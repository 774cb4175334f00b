#!/usr/bin/env bash
# node-redis has the option socketTimeout: milliseconds of silence after which a connection is given up. What the client itself
# sends counts as a sign of life. So the busier a client is, the longer it keeps a connection on which Redis has stopped replying:
# with a command every 100 ms, for ever. ioredis has an option of that name, too. It counts what is received, and gives up.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund redis@6.3.1 ioredis@6.0.0
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
"${REDIS_PROGRAM:-redis-server}" --port "$port" --bind 127.0.0.1 --save "" --dir "$folder" >redis.log &
server=$!
trap 'kill -CONT "$server"; kill "$server"; wait "$server" || true; rm -rf "$folder"' EXIT
for _ in {1..100}; do (: > "/dev/tcp/127.0.0.1/$port") 2>/dev/null && break || sleep 0.1; done

cat > show.mjs <<'JS'
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { createClient } from "redis";

const [port, pid] = process.argv.slice(2).map(Number);
const SOCKET_TIMEOUT_MS = 1000;
const WATCHED_MS = 10_000;
const givenUp = {};

/** Stops Redis, sends a command every so often, and waits for the first that fails. */
async function watch(name, everyMs, get) {
  process.kill(pid, "SIGSTOP");
  const start = performance.now();
  let failure;
  while (failure === undefined && performance.now() - start < WATCHED_MS) {
    get().catch((error) => (failure ??= error));
    await sleep(everyMs);
  }
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const outcome = failure === undefined ? `no error in ${seconds} s` : `"${failure.message}" after ${seconds} s`;
  console.log(`${name}, a command every ${everyMs} ms: ${outcome}`);
  givenUp[`${name} ${everyMs}`] = failure !== undefined;
  process.kill(pid, "SIGCONT");
}

for (const everyMs of [100, 3000]) {
  const socket = { host: "127.0.0.1", port, socketTimeout: SOCKET_TIMEOUT_MS, reconnectStrategy: false };
  const nodeRedis = createClient({ socket, commandOptions: { timeout: 0 } }).on("error", () => {});
  await nodeRedis.connect();
  await watch("node-redis", everyMs, () => nodeRedis.get("key"));
  nodeRedis.destroy();
}
const options = { socketTimeout: SOCKET_TIMEOUT_MS, retryStrategy: () => null, maxRetriesPerRequest: 0 };
const ioredis = new Redis(port, "127.0.0.1", options).on("error", () => {});
await ioredis.ping();
await watch("ioredis", 100, () => ioredis.get("key"));
ioredis.disconnect();
const isAsDescribed = !givenUp["node-redis 100"] && givenUp["node-redis 3000"] && givenUp["ioredis 100"];
console.log(isAsDescribed ? "As described." : "No longer as described.");
process.exit(isAsDescribed ? 0 : 1);
JS
"${REDIS_PROGRAM:-redis-server}" --version
npm ls --depth 0
node show.mjs "$port" "$server"
