#!/usr/bin/env bash
# Redis' integer replies have 64 bits. JavaScript represents those up to 2^53 - 1 exactly (Number.MAX_SAFE_INTEGER). For some
# of them, node-redis and ioredis return a neighbour: they build the number digit by digit with operations that round. So a
# counter that is read with INCR and with GET has two values. Bun's own client and Valkey GLIDE return what Redis sent.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund redis@6.3.1 ioredis@6.0.0 bun@1.3.3 @valkey/valkey-glide@2.5.2
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
"${REDIS_PROGRAM:-redis-server}" --port "$port" --bind 127.0.0.1 --save "" --dir "$folder" >redis.log &
server=$!
trap 'kill "$server"; wait "$server" || true; rm -rf "$folder"' EXIT
for _ in {1..100}; do (: > "/dev/tcp/127.0.0.1/$port") 2>/dev/null && break || sleep 0.1; done

cat > show.mjs <<'JS'
const [port, name] = process.argv.slice(2);
const numbers = ["4503599627370497", "9007199254740987", "9007199254740989", "9007199254740991"];
const connect = {
  async "node-redis"() {
    const { createClient } = await import("redis");
    const client = await createClient({ socket: { host: "127.0.0.1", port: Number(port) } }).on("error", () => {}).connect();
    return (script) => client.eval(script);
  },
  async ioredis() {
    const { Redis } = await import("ioredis");
    const client = new Redis(Number(port), "127.0.0.1");
    return (script) => client.eval(script, 0);
  },
  async "Bun's client"() {
    const { RedisClient } = await import("bun");
    const client = new RedisClient(`redis://127.0.0.1:${port}`);
    return (script) => client.send("EVAL", [script, "0"]);
  },
  async "Valkey GLIDE"() {
    const { GlideClient } = await import("@valkey/valkey-glide");
    const client = await GlideClient.createClient({ addresses: [{ host: "127.0.0.1", port: Number(port) }] });
    return (script) => client.customCommand(["EVAL", script, "0"]);
  },
};
const evaluate = await connect[name]();
const replies = [];
for (const number of numbers) replies.push(String(await evaluate(`return ${number}`)));
console.log(`${name}: ${numbers.map((number, i) => `${number} → ${replies[i]}`).join(", ")}`);
const isWrong = replies.some((reply, i) => reply !== numbers[i]);
process.exit(isWrong === ["node-redis", "ioredis"].includes(name) ? 0 : 1);
JS
"${REDIS_PROGRAM:-redis-server}" --version
npm ls --depth 0
result=0
node show.mjs "$port" node-redis || result=1
node show.mjs "$port" ioredis || result=1
node_modules/.bin/bun show.mjs "$port" "Bun's client" || result=1
node show.mjs "$port" "Valkey GLIDE" || result=1
[ $result = 0 ] && echo "As described." || echo "No longer as described."
exit $result
