import type { IncomingMessage } from "node:http";
import type { App } from "../app.ts";
import type { DemoStore } from "../demo-store.ts";
import type { LoggedCommand } from "../explain/command-log.ts";
import type { Flash } from "../page/flash-cookie.ts";

/** What a route knows of a request. Only `commands` changes while it is handled. */
export interface RequestContext {
  readonly app: App;
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** The request's body. Empty for a GET. */
  readonly form: URLSearchParams;
  /** The ID in the cookie, whether or not there is such a session; undefined without a cookie. */
  readonly sessionId: string | undefined;
  /** Whether a page load, or a request for the session, counts as a use of the session. */
  readonly refreshesTtl: boolean;
  readonly wantsHtml: boolean;
  readonly userAgent: string | undefined;
  readonly acceptsGzip: boolean;
  /** What the last form did, for the page to show once. */
  readonly flash: Flash | undefined;
  /** The port that the request came in on. */
  readonly port: number | undefined;
  /** Logs its commands if a page will show them. */
  readonly store: DemoStore;
  /** What this request has sent to Redis so far; empty unless a page will show it. */
  readonly commands: readonly LoggedCommand[];
}

type Parsed = Pick<RequestContext, "path" | "query" | "form">;

export function createRequestContext(
  app: App,
  { method = "", headers, socket }: IncomingMessage,
  parsed: Parsed,
): RequestContext {
  const isHtml = wantsHtml(headers);
  const { store, commands } = isHtml ? app.openLoggedStore() : { store: app.store, commands: [] };
  return {
    app,
    method,
    ...parsed,
    sessionId: app.sessionCookie.read(headers.cookie),
    refreshesTtl: parsed.query.get("refresh") !== "false",
    wantsHtml: isHtml,
    userAgent: headers["user-agent"],
    // Names gzip, but not as `gzip;q=0`, which means that it is not accepted.
    acceptsGzip: /\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/.test(String(headers["accept-encoding"])),
    flash: isHtml ? app.flashCookie.read(headers.cookie) : undefined,
    port: socket.localPort,
    store,
    commands,
  };
}

export const wantsHtml = ({ accept }: IncomingMessage["headers"]) => accept?.includes("text/html") ?? false;
