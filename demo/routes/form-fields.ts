import { HttpError } from "../http/http-error.ts";
import { parseWholeNumber } from "../whole-number.ts";
import { DEFAULT_ROUNDS, MAX_ROUNDS } from "../race-lab/race-lab.ts";

const MAX_USERNAME = 40; // code points

/** The TTL in seconds. If there are several, the last one counts: a button that sets a TTL comes after the text field. */
export function ttlIn(form: URLSearchParams, maxTtl: number): number {
  const ttl = parseWholeNumber(lastIn(form, "ttl") ?? "");
  if (!(ttl >= 1)) throw new HttpError(400, "TTL must be a whole number greater than 0.", { field: "ttl" });
  if (ttl > maxTtl) throw new HttpError(400, `TTL must be at most ${maxTtl} seconds.`, { field: "ttl" });
  return ttl;
}

/** The absolute timeout in seconds. Default: the server's. */
export function absoluteTtlIn(form: URLSearchParams, serverAbsoluteTtl: number): number {
  const text = form.get("absolute_ttl");
  if (text === null) return serverAbsoluteTtl;
  const absoluteTtl = parseWholeNumber(text);
  if (absoluteTtl >= 1 && absoluteTtl <= serverAbsoluteTtl) return absoluteTtl;
  const sentence = `The absolute timeout must be a whole number of seconds from 1 to ${serverAbsoluteTtl}.`;
  throw new HttpError(400, sentence, { field: "absolute_ttl" });
}

export function roundsIn(form: URLSearchParams): number {
  const rounds = parseWholeNumber(form.get("rounds") ?? String(DEFAULT_ROUNDS));
  if (rounds >= 1 && rounds <= MAX_ROUNDS) return rounds;
  throw new HttpError(400, `The rounds must be a whole number from 1 to ${MAX_ROUNDS}.`, { field: "rounds" });
}

export const lastIn = (form: URLSearchParams, field: string) => form.getAll(field).at(-1);

export function usernameIn(form: URLSearchParams): string {
  const username = form.get("username")?.trim() || "Guest";
  if (Array.from(username).length <= MAX_USERNAME) return username;
  throw new HttpError(400, `Username must be at most ${MAX_USERNAME} characters.`, { field: "username" });
}
