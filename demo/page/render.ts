import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import ejs from "ejs";
import { type Asset, viewPath } from "./assets.ts";
import { createScriptView } from "./script-page.ts";
import { createSessionView, type PageSettings, type PageState } from "./view-model.ts";

/** What to do after an error that has a page of its own. */
const ADVICE: Record<number, string> = {
  403: "Nothing was changed. Forms are accepted from this site's own page only: use the one there.",
  404: "The whole demo is on one page.",
  405: "You may have followed a link to where only a form leads.",
  413: "Nothing was changed. A username and a TTL need no more than a line.",
  500: "It is not certain whether your last click took effect. Go back and see.",
  503: "You keep your cookie. It is not certain whether your last click took effect. This page comes back by itself.",
};

export interface Page {
  /** `port`: the one that the request came in on, which tells one server of several. */
  renderSession: (state: PageState, port: number | undefined) => string;
  /** `operation`: whose lines to mark. */
  renderScript: (operation: string | null, port: number | undefined) => string;
  renderError: (status: number, message: string, port: number | undefined) => string;
}

/** Produces all HTML: from the templates in `views/`, which know nothing but the values they are given. */
export function createPage(settings: PageSettings, assets: Asset[]): Page {
  const render = compile("document.ejs");
  const frame = {
    urls: Object.fromEntries(assets.map(({ name, url }) => [name, url])),
    instance: { host: hostname(), process: process.pid },
    redisAddress: settings.redisAddress,
  };
  return {
    renderSession: (state, port) =>
      render({ ...frame, port, content: "/page.ejs", ...createSessionView(settings, state) }),
    renderScript: (operation, port) =>
      render({ ...frame, port, content: "/script.ejs", ...createScriptView(operation) }),
    renderError: (status, message, port) => {
      const advice = ADVICE[status] ?? "Nothing was changed. Go back and try something else.";
      return render({ ...frame, port, content: "/error.ejs", status, message, advice });
    },
  };
}

/** A template gets all its values in one, `view`: for each include, EJS copies its values one by one. */
function compile(name: string): (view: object) => string {
  const filename = viewPath(name);
  const template = ejs.compile(readFileSync(filename, "utf8"), {
    filename,
    root: viewPath("."), // of "/name.ejs": a name without the slash is looked up on the disk each time
    cache: true,
    strict: true,
    rmWhitespace: true, // the indentation is an eighth of the page
    destructuredLocals: ["view", "verb", "choices"],
  });
  return (view) => template({ view });
}
