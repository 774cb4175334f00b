import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { fileURLToPath } from "node:url";
import ejs from "ejs";
import { SESSION_SCRIPT } from "../../session-store.ts";
import { fileAnswer } from "../http/reply.ts";
import type { Wire } from "../http/flash.ts";
import type { HttpError } from "../http/http-error.ts";
import type { DemoSession, Visit } from "../http/handlers.ts";

/** TTLs that are one click away, in seconds. */
const TTL_CHOICES = [
  { ttl: 10, label: "10 s" },
  { ttl: 30, label: "30 s" },
  { ttl: 60, label: "1 min" },
  { ttl: 300, label: "5 min" },
  { ttl: 1800, label: "30 min" },
];

const ASSETS = [
  { name: "style.css", type: "text/css; charset=utf-8" },
  { name: "page.js", type: "text/javascript; charset=utf-8" },
  { name: "icon.svg", type: "image/svg+xml" },
];

/** What to do after an error that has a page of its own. */
const ADVICE: Record<number, string> = {
  403: "Nothing was changed. Forms are taken from this site's own page only: use the one there.",
  404: "The whole demo is on one page.",
  405: "You may have followed a link to where only a form leads.",
  413: "Nothing was changed. A username and a TTL need no more than a line.",
  500: "It is not certain whether your last click took effect. Go back and see.",
  503: "You keep your cookie. It is not certain whether your last click took effect. This page comes back by itself.",
};

export interface PageOptions {
  cookieName: string;
  isCookieSecure: boolean;
  /** Where Redis is, for people. */
  redisAddress: string;
  keyOf: (id: string) => string;
  /** Seconds: the TTL of a session for which none is chosen, and the largest that can be. */
  defaultTtl: number;
  absoluteTtl: number;
}

/** What the page shows of a visit. */
interface SessionPage {
  visit: Visit;
  session: DemoSession | null;
  /** Milliseconds until Redis removes the key. */
  left: number;
  mistake: HttpError | undefined;
  wire: Wire;
}

interface Clock {
  name: string;
  left: number;
  of: number;
}

export type Page = ReturnType<typeof createPage>;

/** All HTML is made here: from the templates in `views/`, which know nothing but the values that they are given. */
export function createPage({ keyOf, defaultTtl, absoluteTtl, ...options }: PageOptions) {
  const render = compile("document.ejs");
  const contents = ASSETS.map(({ name, type }) => ({ name, type, content: readFileSync(viewPath(name)) }));
  contents.push({
    name: "session.lua",
    type: "text/plain; charset=utf-8",
    content: Buffer.from(SESSION_SCRIPT),
  });
  const files = contents.map(({ name, type, content }) => {
    const version = createHash("sha256").update(content).digest("base64url").slice(0, 8);
    return { name, path: `/${name}`, url: `/${name}?${version}`, answer: fileAnswer(type, content) };
  });
  const everywhere = {
    urls: Object.fromEntries(files.map(({ name, url }) => [name, url])),
    instance: { host: hostname(), process: process.pid },
    ...options,
    ttlChoices: TTL_CHOICES.filter(({ ttl }) => ttl <= absoluteTtl),
    largestTtl: absoluteTtl,
    mistake: undefined,
    wires: [],
  };

  return { assets: files, renderSession, renderError };

  function renderSession({ visit, session, left, mistake, wire }: SessionPage): string {
    const { sessionId, form, flash, port } = visit;
    const state = session ? "live" : sessionId === undefined || mistake?.status === 401 ? "none" : "ended";
    return render({
      ...everywhere,
      content: "/session.ejs",
      state,
      port,
      mistake,
      sessionId,
      session,
      notice: flash?.notice,
      wires: flash ? [wire, flash.wire] : [wire],
      key: sessionId === undefined ? undefined : keyOf(sessionId),
      fields: session ? Object.entries(session).filter(([field]) => field !== "ttl") : [],
      clocks: session ? clocksOf(session, left) : [],
      typed: {
        username: form.get("username") ?? session?.username ?? "",
        ttl: form.getAll("ttl").at(-1) ?? session?.session_ttl ?? defaultTtl,
      },
    });
  }

  /** The clock that Redis keeps; both limits, the nearer one first, where the absolute one is near. In milliseconds. */
  function clocksOf(session: DemoSession, left: number): Clock[] {
    const of = Number(session.session_ttl) * 1000;
    const absoluteLeft = Date.parse(session.created_at) + absoluteTtl * 1000 - Date.now();
    if (absoluteLeft >= of) return [{ name: "TTL", left, of }];
    const idleLeft = Date.parse(session.last_accessed_at) + of - Date.now();
    const idle = { name: "Idle limit", left: idleLeft, of };
    const absolute = { name: "Absolute limit", left: absoluteLeft, of: absoluteTtl * 1000 };
    return idleLeft < absoluteLeft ? [{ ...idle, left }, absolute] : [{ ...absolute, left }, idle];
  }

  function renderError({ status, message }: HttpError): string {
    const advice = ADVICE[status] ?? "Nothing was changed. Go back and try something else.";
    return render({ ...everywhere, content: "/error.ejs", port: undefined, status, message, advice });
  }
}

const viewPath = (name: string) => fileURLToPath(new URL(`../../views/${name}`, import.meta.url));

/** All that a template shows is in one value, `view`: for each include, EJS copies its values one by one. */
function compile(name: string): (view: object) => string {
  const filename = viewPath(name);
  const template = ejs.compile(readFileSync(filename, "utf8"), {
    filename,
    root: viewPath("."), // of "/name.ejs": a name without the slash is looked up on the disk each time
    cache: true,
    strict: true,
    destructuredLocals: ["view", "verb", "choices"],
  });
  return (view) => template({ view });
}
