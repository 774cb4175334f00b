import type { IncomingMessage, ServerResponse } from "node:http";
import readBody from "raw-body";
import { HttpError } from "./http-error.ts";

const MAX_BODY = 16 * 1024; // bytes

/** Reads an HTML form from the request's body. A request without a body is an empty form. */
export async function readForm(request: IncomingMessage, response: ServerResponse): Promise<URLSearchParams> {
  if (!hasBody(request)) return new URLSearchParams();
  const { "content-type": type, "content-length": length, "content-encoding": encoding } = request.headers;
  if (type?.split(";")[0]?.trim().toLowerCase() !== "application/x-www-form-urlencoded" || encoding !== undefined) {
    throw new HttpError(415, "The body must be a plain application/x-www-form-urlencoded form.");
  }
  if (Number(length ?? 0) > MAX_BODY) throw tooLarge();
  // A client that sent `Expect: 100-continue` waits for this before it sends the body.
  const isWaiting = request.httpVersion === "1.1" && request.headers.expect?.toLowerCase() === "100-continue";
  if (isWaiting) response.writeContinue();
  try {
    return new URLSearchParams(await readBody(request, { limit: MAX_BODY, length: length ?? null, encoding: "utf8" }));
  } catch (error) {
    if (!(error instanceof Error && "type" in error)) throw error;
    if (error.type === "entity.too.large") throw tooLarge();
    throw new HttpError(400, "The body ended before it was complete.");
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  const length = headers["content-length"];
  return headers["transfer-encoding"] !== undefined || (length !== undefined && length !== "0");
}

const tooLarge = () => new HttpError(413, `The body must be at most ${MAX_BODY} bytes.`);
