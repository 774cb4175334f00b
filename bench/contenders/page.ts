/** The demo's own templates with the values of a live session, for contenders that know no `demo/page.ts`. */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import ejs from "ejs";

export const TEMPLATE = fileURLToPath(new URL("../../views/document.ejs", import.meta.url));
export const EJS_OPTIONS = {
  filename: TEMPLATE,
  root: dirname(TEMPLATE),
  cache: true,
  strict: true,
  destructuredLocals: ["view", "verb", "choices"],
};

const TTL_CHOICES = [
  { ttl: 10, label: "10 s" },
  { ttl: 30, label: "30 s" },
  { ttl: 60, label: "1 min" },
  { ttl: 300, label: "5 min" },
  { ttl: 1800, label: "30 min" },
];
const URLS = Object.fromEntries(
  ["style.css", "page.js", "icon.svg", "session.lua"].map((name) => [name, `/${name}?12345678`]),
);
const COMMANDS = [
  { command: "GET sess:abcdefghijklmnop", ms: 0.25, trip: 1 },
  { command: "EXPIRE sess:abcdefghijklmnop", ms: 0.25, trip: 1 },
];

const template = ejs.compile(readFileSync(TEMPLATE, "utf8"), EJS_OPTIONS);

export const renderPage = (id: string, session: Record<string, string>): string => template(pageValues(id, session));

export function pageValues(id: string, session: Record<string, string>) {
  const left = Number(session["session_ttl"]) * 1000; // milliseconds
  const view = {
    urls: URLS,
    instance: { host: hostname(), process: process.pid },
    cookieName: "sid",
    isCookieSecure: false,
    redisAddress: "127.0.0.1:6379",
    ttlChoices: TTL_CHOICES,
    largestTtl: 2_592_000,
    mistake: undefined,
    content: "/session.ejs",
    state: "live",
    port: 8080,
    sessionId: id,
    session,
    notice: undefined,
    wires: [{ request: "GET /", entries: COMMANDS }],
    key: `session:${id}`,
    fields: Object.entries(session),
    clocks: [{ name: "TTL", left, of: left }],
    typed: { username: session["username"], ttl: session["session_ttl"] },
  };
  return { view };
}
