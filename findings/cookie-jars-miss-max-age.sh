#!/usr/bin/env bash
# A cookie with Max-Age expires that many seconds after it was set (RFC 6265, section 5.2.2). In the jar of tough-cookie, which
# jsdom uses, it expires that long after it was last sent: in use, it never does. The jar of SuperTest's agent does not know
# Max-Age, not even the 0 that deletes a cookie. So a test of a session's end, or of a log-out, sees something else than a
# browser. Playwright's request context, which is no browser either, does it right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts tough-cookie@6.1.0 supertest@7.3.2 playwright@1.65.1

cat > show.mjs <<'JS'
import { once } from "node:events";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { request as playwright } from "playwright";
import supertest from "supertest";
import { CookieJar } from "tough-cookie";

const MAX_AGE_S = 4;
const setCookies = { "/log-in": `sid=id; Path=/; Max-Age=${MAX_AGE_S}`, "/log-out": "sid=deleted; Path=/; Max-Age=0" };
const server = createServer((request, response) => {
  if (setCookies[request.url]) response.setHeader("Set-Cookie", setCookies[request.url]);
  response.setHeader("Content-Type", "text/plain").end(request.headers.cookie ?? "no cookie");
}).listen(0);
await once(server, "listening");
const origin = `http://localhost:${server.address().port}`;
const jar = new CookieJar();
const agent = supertest.agent(origin);
const context = await playwright.newContext();

/** Each sends a request, and returns the cookie that the server received. */
const clients = {
  async "tough-cookie"(path) {
    const response = await fetch(origin + path, { headers: { cookie: await jar.getCookieString(origin + path) } });
    for (const setCookie of response.headers.getSetCookie()) await jar.setCookie(setCookie, origin + path);
    return response.text();
  },
  SuperTest: async (path) => (await agent.get(path)).text,
  Playwright: async (path) => (await context.get(origin + path)).text(),
};
const seen = {};
for (const [name, send] of Object.entries(clients)) {
  await send("/log-in");
  let inUse;
  const start = performance.now();
  while (performance.now() - start < (MAX_AGE_S + 2) * 1000) {
    await sleep(500);
    inUse = await send("/");
  }
  await send("/log-in");
  await send("/log-out");
  const loggedOut = await send("/");
  seen[name] = [inUse, loggedOut];
  console.log(`${name}: ${MAX_AGE_S + 2} s after Max-Age=${MAX_AGE_S}: ${inUse || "no cookie"}; after Max-Age=0: ${loggedOut || "no cookie"}`);
}
await context.dispose();
server.close();
const expected = { "tough-cookie": ["sid=id", ""], SuperTest: ["sid=id", "sid=deleted"], Playwright: ["no cookie", "no cookie"] };
const isAsDescribed = JSON.stringify(seen) === JSON.stringify(expected);
console.log(isAsDescribed ? "As described." : "No longer as described.");
process.exit(isAsDescribed ? 0 : 1);
JS
npm ls --depth 0
node show.mjs
