#!/usr/bin/env bash
# node-redis passes the options of `socket` on to Node, so a `signal` can end an attempt to connect, as its types allow. The
# client keeps the options for each later connection, and Node leaves a listener on the signal for each socket, also when that
# has been closed. So a client that reconnects keeps every socket that it ever had in memory, as long as the signal lives.
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
import { getEventListeners, setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "redis";

const CONNECTIONS = 200;
const socket = { host: "127.0.0.1", port: Number(process.argv[2]), reconnectStrategy: 1 };
const admin = await createClient({ socket }).connect();
const kept = {};
for (const how of ["without a signal", "with a signal"]) {
  const { signal } = new AbortController();
  setMaxListeners(0, signal);
  const options = how === "with a signal" ? { ...socket, signal } : socket;
  let connections = 0;
  const sockets = [];
  const client = createClient({ socket: options }).on("error", () => {}).on("connect", () => (connections += 1));
  await client.connect();
  while (connections < CONNECTIONS) {
    const before = connections;
    sockets.push(new WeakRef(lastSocket()));
    await admin.sendCommand(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    while (connections === before || !client.isReady) await sleep(1);
  }
  await sleep(100);
  globalThis.gc();
  await sleep(100);
  globalThis.gc();
  kept[how] = sockets.filter((ref) => ref.deref() !== undefined).length;
  const listeners = getEventListeners(signal, "abort").length;
  console.log(`${how}: ${connections} connections, one after another; ${kept[how]} closed sockets in memory, ${listeners} listeners on the signal`);
  client.destroy();
}
admin.destroy();
const isAsDescribed = kept["with a signal"] >= CONNECTIONS - 5 && kept["without a signal"] <= 5;
console.log(isAsDescribed ? "As described." : "No longer as described.");
process.exit(isAsDescribed ? 0 : 1);

/** The socket of the connection in use: the newest handle to that port. */
function lastSocket() {
  return process._getActiveHandles().filter((handle) => handle.remotePort === socket.port).at(-1);
}
JS
"${REDIS_PROGRAM:-redis-server}" --version
npm ls --depth 0
node --version
node --expose-gc show.mjs "$port"
