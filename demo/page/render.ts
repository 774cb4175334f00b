import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import ejs from "ejs";
import { type Asset, viewPath } from "./assets.ts";
import { createRaceView } from "./race-view.ts";
import { createScriptView } from "../explain/script-view.ts";
import { DEFAULT_ROUNDS } from "../race-lab/race-lab.ts";
import { createSessionView, LOG_IN_TTL, type PageSettings, type PageState } from "./session-view.ts";

/** Seconds: how long a session of the third experiment lives, however active. */
const SHORT_ABSOLUTE_TTL = 30;

const NOTHING_KNOWN: Omit<PageState, "sessionId" | "key"> = {
  session: null,
  clock: undefined,
  sessions: "unread",
  notice: undefined,
  mistake: undefined,
  typed: { username: undefined, ttl: undefined, absoluteTtl: undefined, rounds: undefined },
  race: undefined,
  costs: [],
  outage: "Redis cannot be used at the moment.",
};

/** What to do after an error that has a page of its own. */
const ADVICE: Record<number, string> = {
  403: "Nothing was changed. Forms are accepted from this site's own page only: use the one there.",
  404: "The demo is one page: go back to it.",
  405: "You may have followed a link to an address that accepts forms only.",
  413: "Nothing was changed. A username and a TTL need no more than a line.",
  500: "It is not certain whether your last click took effect. Go back and see.",
  503: "You keep your cookie. It is not certain whether your last click took effect. This page comes back by itself.",
};

export interface Page {
  /** `port`: the one that the request came in on, which tells several servers apart. */
  renderSession: (state: PageState, port: number | undefined) => string;
  renderOutage: (cookie: { sessionId: string; key: string }, port: number | undefined) => string;
  /** `operation`: whose lines to mark. */
  renderScript: (operation: string | null, port: number | undefined) => string;
  renderError: (status: number, message: string, port: number | undefined) => string;
}

/** Produces all HTML: from the templates in `views/`, which know nothing but the values they are given. */
export function createPage(settings: PageSettings, assets: Asset[]): Page {
  const render = compileTemplates();
  const urls = Object.fromEntries(assets.map(({ name, url }) => [name, url]));
  const server = { host: hostname(), process: process.pid, redisAddress: settings.redisAddress };
  const documentWith = (content: string, port: number | undefined) =>
    render("document.ejs", { urls, ...server, port, content });
  const strip = render("strip.ejs", {
    ttl: Math.min(LOG_IN_TTL, settings.absoluteTtl),
    absoluteTtl: Math.min(SHORT_ABSOLUTE_TTL, settings.absoluteTtl),
    rounds: DEFAULT_ROUNDS,
  });
  const raceLabBeforeARace = render("race.ejs", createRaceView(undefined, undefined, undefined));

  return {
    renderOutage: (cookie, port) =>
      documentWith(
        `<main>${render("session.ejs", createSessionView(settings, { ...NOTHING_KNOWN, ...cookie }))}</main>`,
        port,
      ),
    renderSession(state, port) {
      const session = render("session.ejs", createSessionView(settings, state));
      const raceView = createRaceView(state.race, state.typed.rounds, state.mistake);
      const hasRace = state.race !== undefined || raceView.rounds.mistake !== "";
      const raceLab = hasRace ? render("race.ejs", raceView) : raceLabBeforeARace;
      return documentWith(`${strip}<main>${session}${raceLab}</main>`, port);
    },
    renderScript: (operation, port) => documentWith(render("lua.ejs", { urls, ...createScriptView(operation) }), port),
    renderError(status, message, port) {
      const advice = ADVICE[status] ?? "Nothing was changed. Go back and try something else.";
      return documentWith(render("error.ejs", { status, message, advice }), port);
    },
  };
}

const TEMPLATES = [
  "document.ejs",
  "strip.ejs",
  "session.ejs",
  "sides.ejs",
  "log-in.ejs",
  "ttl.ejs",
  "user-sessions.ejs",
  "costs.ejs",
  "race.ejs",
  "lua.ejs",
  "error.ejs",
];

/**
 * Templates render each other with the `render` they are given: the `include` of EJS resolves a path and copies all
 * values each time, which was a quarter of the time that the page took.
 */
function compileTemplates(): (name: string, view: object) => string {
  const templates = new Map(
    TEMPLATES.map((name) => {
      const filename = viewPath(name);
      const template = ejs.compile(readFileSync(filename, "utf8"), {
        filename,
        strict: true,
        rmWhitespace: true, // the indentation is an eighth of the page
        destructuredLocals: ["view", "render"],
      });
      return [name, template];
    }),
  );
  const render = (name: string, view: object): string => templates.get(name)!({ view, render });
  return render;
}
