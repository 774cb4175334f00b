#!/usr/bin/env bash
# When response.cookies.set is called, Next.js parses the Set-Cookie headers with which the response was made, and writes them
# anew. A Max-Age=0 is lost on the way. So the reply of another server or framework that deletes the session cookie, as Hono, h3
# and iron-session do it, sets an empty one instead, once a notice such as "You have logged out" is added. The browser keeps it
# until it is closed, and what looks only whether there is such a cookie takes the user for logged in.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts hono@4.13.19 h3@2.0.8 iron-session@9.0.1 next@16.4.6 react@19.2.0 react-dom@19.2.0

cat > show.mjs <<'JS'
import { deleteCookie as deleteInH3, H3 } from "h3";
import { Hono } from "hono";
import { deleteCookie as deleteInHono } from "hono/cookie";
import { getIronSession } from "iron-session";
import nextServer from "next/server.js";

/** Replies that delete the cookie. */
const logOut = {
  hono: () => new Hono().get("/", (context) => (deleteInHono(context, "sid"), context.text(""))).request("/"),
  h3: () => new H3().get("/", (event) => (deleteInH3(event, "sid"), "")).request("/"),
  async "iron-session"() {
    const response = new Response("");
    const options = { cookieName: "sid", password: "a password of more than 32 characters" };
    const session = await getIronSession(new Request("http://localhost/"), response, options);
    session.destroy();
    return response;
  },
  "by Expires": () => new Response("", { headers: { "Set-Cookie": "sid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT" } }),
};
const isDeletion = (setCookie) => /; (max-age=0|expires=thu, 01 jan 1970 00:00:00 gmt)(;|$)/i.test(setCookie);
const seen = {};
for (const [name, reply] of Object.entries(logOut)) {
  const { headers } = await reply();
  const response = new nextServer.NextResponse("", { headers });
  response.cookies.set("notice", "You have logged out");
  const setCookies = [headers, response.headers].map((each) => each.getSetCookie().find((cookie) => cookie.startsWith("sid=")));
  seen[name] = setCookies.map((setCookie) => (isDeletion(setCookie) ? "deleted" : "set")).join();
  console.log(`${name}: ${setCookies.join("\n  becomes ")}`);
}
const expected = { hono: "deleted,set", h3: "deleted,set", "iron-session": "deleted,set", "by Expires": "deleted,deleted" };
const isAsDescribed = JSON.stringify(seen) === JSON.stringify(expected);
console.log(isAsDescribed ? "As described." : "No longer as described.");
process.exitCode = isAsDescribed ? 0 : 1;
JS
npm ls --depth 0
node show.mjs
