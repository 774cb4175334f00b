import type { IncomingMessage } from "node:http";
import readBody from "raw-body";
import { HttpError } from "./http-error.ts";

const LARGEST_BODY = 16 * 1024; // bytes
const DROP_LIMIT_MS = 1000;
const LONGEST_USERNAME = 40; // characters, as people count them or nearly so: code points

/** Reads an HTML form from the request's body, and keeps none of one that is too large. */
export async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const { "content-type": type, "content-length": length, "content-encoding": encoding } = request.headers;
  const isEmpty = (length === undefined || length === "0") && request.headers["transfer-encoding"] === undefined;
  if (isEmpty) return new URLSearchParams();
  if (type?.split(";")[0]?.trim().toLowerCase() !== "application/x-www-form-urlencoded" || encoding !== undefined) {
    throw new HttpError(415, "The body must be a plain application/x-www-form-urlencoded form.");
  }
  try {
    return new URLSearchParams(
      await readBody(request, { limit: LARGEST_BODY, length: length ?? null, encoding: "utf8" }),
    );
  } catch (error) {
    if (!(error instanceof Error && "type" in error)) throw error;
    if (error.type !== "entity.too.large") throw new HttpError(400, "The body ended before it was whole.");
    dropTheRest(request);
    throw new HttpError(413, `The body must be at most ${LARGEST_BODY} bytes.`);
  }
}

/** A client that is still sending must come to its end before it reads the answer; it gets a moment for that. */
function dropTheRest(request: IncomingMessage): void {
  request.resume();
  setTimeout(() => request.complete || request.destroy(), DROP_LIMIT_MS).unref();
}

/** The TTL in seconds. Of several the last counts: a button with a TTL of its own follows the box where one is typed. */
export function ttlIn(form: URLSearchParams, largest: number): number {
  const text = form.getAll("ttl").at(-1) ?? "";
  const ttl = /^\d+$/.test(text) ? Number(text) : 0;
  if (ttl < 1) throw new HttpError(400, "TTL must be a whole number greater than 0.", { field: "ttl" });
  if (ttl > largest) throw new HttpError(400, `TTL must be at most ${largest} seconds.`, { field: "ttl" });
  return ttl;
}

export function usernameIn(form: URLSearchParams): string {
  const username = form.get("username")?.trim() || "Guest";
  if (Array.from(username).length <= LONGEST_USERNAME) return username;
  throw new HttpError(400, `Username must be at most ${LONGEST_USERNAME} characters.`, { field: "username" });
}
