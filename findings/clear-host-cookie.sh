#!/usr/bin/env bash
# A browser accepts a cookie named __Host-… only with Secure and Path=/, and that holds for the Set-Cookie header that deletes it
# too. The functions of Express, Fastify, Koa and Next.js that clear a cookie, called with its name as their documents show,
# send no Secure: Chromium ignores the header, and the cookie stays. Those of Hono and h3 throw. The cookie goes if Secure is
# passed to them as well. So a log-out that only clears the cookie does nothing, without an error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
browser=$(command -v chromium-headless-shell || command -v chromium || command -v google-chrome || command -v chromium-browser) ||
  { echo "This needs a Chromium on the PATH."; exit 2; }
npm install --silent --no-audit --no-fund --ignore-scripts express@5.3.0 fastify@5.12.8 @fastify/cookie@11.1.5 koa@3.3.0 \
  next@16.4.6 react@19.2.0 react-dom@19.2.0 hono@4.13.19 h3@2.0.8 playwright@1.65.1

cat > show.mjs <<'JS'
import { once } from "node:events";
import { createServer } from "node:http";
import cookiePlugin from "@fastify/cookie";
import express from "express";
import Fastify from "fastify";
import { deleteCookie as deleteInH3, H3 } from "h3";
import { Hono } from "hono";
import { deleteCookie as deleteInHono } from "hono/cookie";
import Koa from "koa";
import nextCookies from "next/dist/server/web/spec-extension/cookies.js";
import { chromium } from "playwright";

const NAME = "__Host-sid";

/** The Set-Cookie header of a reply of the application. */
async function replyOf(application) {
  const server = createServer(application).listen(0, "127.0.0.1");
  await once(server, "listening");
  const reply = await fetch(`http://127.0.0.1:${server.address().port}/`);
  server.close();
  return reply.headers.getSetCookie()[0];
}

/** How each framework clears the cookie, without options and with Secure. */
const clear = {
  express: (options) => replyOf(express().get("/", (_, response) => response.clearCookie(NAME, options).end())),
  async fastify(options) {
    const app = Fastify();
    await app.register(cookiePlugin);
    app.get("/", (_, reply) => reply.clearCookie(NAME, options).send(""));
    return (await app.inject("/")).headers["set-cookie"];
  },
  async koa(options) {
    const app = new Koa();
    app.proxy = true;
    app.use((context) => {
      if (options) context.cookies.secure = true; // as behind a proxy that terminates TLS
      context.cookies.set(NAME, null, options);
      context.body = "";
    });
    return replyOf(app.callback());
  },
  async next(options) {
    const cookies = new nextCookies.ResponseCookies(new Headers());
    cookies.delete(options ? { name: NAME, path: "/", ...options } : NAME);
    return cookies.toString();
  },
  async hono(options) {
    const app = new Hono().get("/", (context) => {
      deleteInHono(context, NAME, options);
      return context.text("");
    });
    app.onError((error, context) => context.text(error.message, 500, { "set-cookie": `throws: ${error.message}` }));
    return (await app.request("/")).headers.getSetCookie()[0];
  },
  async h3(options) {
    let thrown;
    const app = new H3().get("/", (event) => {
      try {
        deleteInH3(event, NAME, options);
      } catch (error) {
        thrown = `throws: ${error.message}`;
      }
      return "";
    });
    const reply = await app.request("/");
    return thrown ?? reply.headers.getSetCookie()[0];
  },
};

const browser = await chromium.launch({ executablePath: process.argv[2], args: ["--no-sandbox"] });
console.log(`Chromium ${browser.version()}`);

/** Whether the cookie is still there after a reply with this header. localhost counts as secure. */
async function isKept(setCookie) {
  const context = await browser.newContext();
  const server = createServer((request, response) => {
    const first = `${NAME}=id; Path=/; Secure; HttpOnly; SameSite=Lax`;
    response.setHeader("Set-Cookie", request.url === "/log-in" ? first : setCookie).end();
  }).listen(0);
  await once(server, "listening");
  const page = await context.newPage();
  for (const path of ["/log-in", "/log-out"]) await page.goto(`http://localhost:${server.address().port}${path}`);
  const cookies = await context.cookies();
  await context.close();
  server.close();
  return cookies.some(({ name }) => name === NAME);
}

const seen = {};
for (const [name, clearIn] of Object.entries(clear)) {
  const plain = await clearIn(undefined);
  const outcome = plain.startsWith("throws") ? "throws" : (await isKept(plain)) ? "kept" : "cleared";
  const secure = (await isKept(await clearIn({ path: "/", secure: true }))) ? "kept" : "cleared";
  seen[name] = `${outcome}, ${secure}`;
  console.log(`${name}: ${plain}\n  the cookie: ${outcome}; with Secure: ${secure}`);
}
await browser.close();
const expected = { express: "kept", fastify: "kept", koa: "kept", next: "kept", hono: "throws", h3: "throws" };
const isAsDescribed = Object.entries(expected).every(([name, outcome]) => seen[name] === `${outcome}, cleared`);
console.log(isAsDescribed ? "As described." : "No longer as described.");
process.exit(isAsDescribed ? 0 : 1);
JS
npm ls --depth 0
node show.mjs "$browser"
