import type { IncomingMessage } from "node:http";
import { CommandLog, type LoggedCommand } from "../explain/command-log.ts";
import type { RedisScripting } from "../../session-store.ts";
import { DemoStore, type StoreSettings } from "../store.ts";
import type { Flash, FlashCookie } from "./flash.ts";
import type { SessionCookie } from "../../session-cookie.ts";

/** What a handler knows of a request. Only `commands` changes while it is handled. */
export interface RequestContext {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** The request's body. Empty for a GET. */
  readonly form: URLSearchParams;
  /** The ID in the cookie, whether or not there is such a session; undefined without a cookie. */
  readonly sessionId: string | undefined;
  readonly wantsHtml: boolean;
  /** What the last form did, for the page to show once. */
  readonly flash: Flash | undefined;
  /** The port that the request came in on. */
  readonly port: number | undefined;
  readonly store: DemoStore;
  /** What this request has sent to Redis so far; empty unless a page will show it. */
  readonly commands: readonly LoggedCommand[];
}

export interface ContextDependencies {
  redis: RedisScripting;
  store: DemoStore;
  /** For a store whose commands are logged. */
  storeSettings: StoreSettings;
  sessionCookie: SessionCookie;
  flashCookie: FlashCookie;
}

/** The context before the body is read. */
export function createRequestContext(
  request: IncomingMessage,
  { redis, store, storeSettings, sessionCookie, flashCookie }: ContextDependencies,
): RequestContext {
  const { url = "", method = "", headers, socket } = request;
  const [path = "", query] = url.split("?", 2); // not parsed as a URL: what a client sends need not be one
  const log = wantsHtml(request) ? new CommandLog(redis) : undefined;
  return {
    method,
    path,
    query: query === undefined ? NO_PARAMETERS : new URLSearchParams(query),
    form: NO_PARAMETERS,
    sessionId: sessionCookie.read(headers.cookie),
    wantsHtml: log !== undefined,
    flash: log && flashCookie.read(headers.cookie),
    port: socket.localPort,
    store: log === undefined ? store : new DemoStore({ redis: log, ...storeSettings }),
    commands: log === undefined ? [] : log.commands,
  };
}

const NO_PARAMETERS = new URLSearchParams();

export const wantsHtml = ({ headers }: IncomingMessage) => headers.accept?.includes("text/html") ?? false;
