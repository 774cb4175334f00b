import type { IncomingMessage } from "node:http";
import { isCrossSite } from "../../session-cookie.ts";
import { HttpError } from "./http-error.ts";

/** Refuses a form that a page of another site sent. The check is in `session-cookie.ts`, for applications to copy. */
export function assertSameSite(request: IncomingMessage): void {
  if (isCrossSite(request.headers)) throw new HttpError(403, "This form was sent from another site.");
}
