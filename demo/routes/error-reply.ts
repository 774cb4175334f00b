import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { App } from "../app.ts";
import { HttpError } from "../http/http-error.ts";
import { htmlReply, jsonReply, type Reply } from "../http/reply.ts";
import { showMistake, showOutage } from "./page.ts";
import { type RequestContext, wantsHtml } from "./request-context.ts";

/**
 * Turns whatever was thrown into a reply: JSON for a program; for a browser, the page with the message if a form was
 * refused, and else an error page. `context` is undefined if the request did not get as far as its route.
 */
export async function errorReply(
  app: App,
  request: IncomingMessage,
  context: RequestContext | undefined,
  error: unknown,
): Promise<Reply> {
  const httpError = toHttpError(error);
  const { status, message, headers } = httpError;
  if (!wantsHtml(request.headers)) return jsonReply({ error: message }, status, headers);
  if (context?.method === "GET" && context.path === "/" && status === 503) return showOutage(context, httpError);
  if (context?.method === "POST" && error instanceof HttpError) {
    return showMistake(context, httpError).catch((pageError: unknown) =>
      errorReply(app, request, undefined, pageError),
    );
  }
  return htmlReply(app.page.renderError(status, message, request.socket.localPort), status, headers);
}

function toHttpError(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof Error && "code" in error && error.code === "REDIS_UNAVAILABLE") {
    return new HttpError(503, "Redis cannot be used at the moment. Try again shortly.", {
      headers: [["Retry-After", "1"]],
    });
  }
  const requestId = randomUUID();
  console.error(`Request ${requestId} failed:`, error);
  return new HttpError(500, `Something went wrong here. In our log it is request ${requestId}.`);
}
