#!/usr/bin/env bash
# A browser may hold two cookies with one name, for two paths or for a host and its domain, and sends both, the one with the
# longer path first (RFC 6265, section 5.4). Six frameworks read such a header: Next.js takes the last, the others the first.
# So an application that is moved from one to the other, or has both on one host, finds another session.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts @fastify/cookie@11.1.5 cookie@1.1.1 \
  fastify@5.12.8 h3@2.0.8 hono@4.13.19 koa@3.3.0 next@16.4.6 react@19.2.0 react-dom@19.2.0

cat > show.mjs <<'JS'
import http from "node:http";
import { readFileSync } from "node:fs";
import { parseCookie } from "cookie";
import cookiePlugin from "@fastify/cookie";
import Fastify from "fastify";
import { getCookie as getFromH3, H3 } from "h3";
import { Hono } from "hono";
import { getCookie as getFromHono } from "hono/cookie";
import Koa from "koa";
import nextCookies from "next/dist/server/web/spec-extension/cookies.js";

const headers = { cookie: "sid=longer-path; sid=shorter-path" };
const read = {
  "cookie (Express)": () => parseCookie(headers.cookie).sid,
  async fastify() {
    const app = Fastify();
    await app.register(cookiePlugin);
    app.get("/", (request) => request.cookies.sid);
    return (await app.inject({ url: "/", headers })).body;
  },
  h3: async () => (await new H3().get("/", (event) => getFromH3(event, "sid")).request("/", { headers })).text(),
  hono: async () => (await new Hono().get("/", (c) => c.text(getFromHono(c, "sid"))).request("/", { headers })).text(),
  koa: () =>
    new Promise((resolve) => {
      const app = new Koa().use((context) => (context.body = context.cookies.get("sid")));
      const server = app.listen(0, "127.0.0.1", () => {
        const { port } = server.address();
        http.get({ port, host: "127.0.0.1", headers, agent: false }, async (response) => {
          for await (const text of response.setEncoding("utf8")) resolve(text);
          server.close();
        });
      });
    }),
  next: () => new nextCookies.RequestCookies(new Headers(headers)).get("sid").value,
};
const seen = {};
for (const [name, readCookie] of Object.entries(read)) {
  const folder = name === "cookie (Express)" ? "cookie" : name;
  const { version } = JSON.parse(readFileSync(`node_modules/${folder}/package.json`, "utf8"));
  seen[name] = await readCookie();
  console.log(`${name} ${version}: ${seen[name]}`);
}
const { next, ...others } = seen;
const isAsDescribed = next === "shorter-path" && Object.values(others).every((value) => value === "longer-path");
console.log(isAsDescribed ? "As described." : "No longer as described.");
process.exitCode = isAsDescribed ? 0 : 1;
JS
node show.mjs
