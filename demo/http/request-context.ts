import type { IncomingMessage } from "node:http";
import { CommandLog } from "../redis/command-log.ts";
import type { RedisScripting } from "../../session-store.ts";
import { type DemoStore, openStore, type StoreSettings } from "../store.ts";
import type { Flash, FlashCookie } from "./flash.ts";
import type { SessionCookie } from "./session-cookie.ts";

/** What a handler knows of a request. Made once its body has been read, and never changed. */
export interface RequestContext {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** Empty for a GET. */
  readonly form: URLSearchParams;
  /** The ID in the cookie, whether or not there is such a session; undefined without a cookie. */
  readonly sessionId: string | undefined;
  readonly wantsHtml: boolean;
  /** What the last form did, for the page to show once. */
  readonly flash: Flash | undefined;
  /** The port that the request came in on. */
  readonly port: number | undefined;
  /** The client of this request's store, which logs the commands for the page. */
  readonly redis: CommandLog;
  readonly store: DemoStore;
}

export interface ContextDependencies {
  redis: RedisScripting;
  storeSettings: StoreSettings;
  sessionCookie: SessionCookie;
  flashCookie: FlashCookie;
}

export function createRequestContext(
  request: IncomingMessage,
  form: URLSearchParams,
  { redis, storeSettings, sessionCookie, flashCookie }: ContextDependencies,
): RequestContext {
  const { cookie } = request.headers;
  const log = new CommandLog(redis);
  return {
    method: request.method ?? "",
    path: pathOf(request),
    query: new URLSearchParams(request.url?.split("?", 2)[1]),
    form,
    sessionId: sessionCookie.read(cookie),
    wantsHtml: wantsHtml(request),
    flash: flashCookie.read(cookie),
    port: request.socket.localPort,
    redis: log,
    store: openStore(log, storeSettings),
  };
}

/** Not parsed as a URL: what a client sends need not be one. */
export const pathOf = ({ url = "" }: IncomingMessage) => url.split("?", 1)[0]!;

export const wantsHtml = ({ headers }: IncomingMessage) => headers.accept?.includes("text/html") ?? false;
