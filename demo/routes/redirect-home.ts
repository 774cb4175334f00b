import type { Header } from "../http/headers.ts";
import { redirectReply, type Reply } from "../http/reply.ts";
import type { Flash } from "../page/flash-cookie.ts";
import type { RequestContext } from "./request-context.ts";

/** After a form of a browser: redirects to the page, which shows once what the form did. */
export function redirectHome(
  { app, method, path, commands }: RequestContext,
  outcome: Pick<Flash, "notice" | "race">,
  { headers = [], part = "" }: { headers?: Header[]; part?: string } = {},
): Reply {
  const flash = { ...outcome, request: `${method} ${path}`, commands };
  return redirectReply(`/${part}`, [...headers, ["Set-Cookie", app.flashCookie.set(flash)]]);
}
