import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { RedisUnavailableError } from "../../session-store.ts";
import type { Page } from "../page/render.ts";
import type { OutageLog } from "../redis/outage-log.ts";
import { HttpError } from "./http-error.ts";
import { htmlReply, jsonReply, type Reply } from "./reply.ts";
import { wantsHtml } from "./request-context.ts";

/** Makes a reply of whatever was thrown while a request was handled: a page for a browser, JSON for a program. */
export class ErrorReplies {
  readonly #page: Page;
  readonly #outages: OutageLog;

  constructor({ page, outages }: { page: Page; outages: OutageLog }) {
    this.#page = page;
    this.#outages = outages;
  }

  replyTo(request: IncomingMessage, error: unknown): Reply {
    const { status, message, headers } = this.#toHttpError(error);
    if (!wantsHtml(request)) return jsonReply({ error: message }, status, headers);
    return htmlReply(this.#page.renderError(status, message, request.socket.localPort), status, headers);
  }

  #toHttpError(error: unknown): HttpError {
    if (error instanceof HttpError) return error;
    if (error instanceof RedisUnavailableError) {
      this.#outages.report(error.message);
      const headers = ["Retry-After", "1"];
      return new HttpError(503, "Redis cannot be used at the moment. Try again shortly.", { headers });
    }
    const requestId = randomUUID();
    console.error(`Request ${requestId} failed:`, error);
    return new HttpError(500, `Something went wrong here. In our log it is request ${requestId}.`);
  }
}
