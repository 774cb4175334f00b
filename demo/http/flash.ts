import { parseCookie, stringifySetCookie } from "cookie";
import type { WireEntry } from "../redis/command-log.ts";

/** What the page says, once, after a form did its work. */
const NOTICES = {
  started: "Session started. Your browser got a cookie, Redis got a hash.",
  counted: "Page view counted, and the idle limit starts anew.",
  ttl: "TTL changed, and the idle limit starts anew.",
  rotated: "New session ID. The data moved along; the old ID opens nothing now.",
  ended: "Logged out. Redis deleted the hash, your browser forgot the cookie.",
};

export type Notice = keyof typeof NOTICES;

/** The Redis commands that a request cost. */
export interface Wire {
  request: string;
  entries: WireEntry[];
}

const ATTRIBUTES = { path: "/", httpOnly: true, sameSite: "lax" } as const;
const LIFETIME = 30; // seconds: enough to follow the redirect

/**
 * What a form did travels across the redirect to the page in a cookie of its own, which the page takes away. So it
 * is shown once, without JavaScript too, by whichever server makes the page.
 */
export function setFlash(notice: Notice, wire: Wire, secure: boolean): string {
  const value = Buffer.from(JSON.stringify({ notice, wire })).toString("base64url");
  return stringifySetCookie("flash", value, { ...ATTRIBUTES, secure, maxAge: LIFETIME });
}

export const clearFlash = (secure: boolean) => stringifySetCookie("flash", "", { ...ATTRIBUTES, secure, maxAge: 0 });

/** Undefined where there is none, or where it is not one of ours. */
export function readFlash(cookieHeader: string | undefined): { notice: string; wire: Wire } | undefined {
  const value = cookieHeader === undefined ? undefined : parseCookie(cookieHeader)["flash"];
  if (!value) return undefined;
  try {
    const { notice, wire } = JSON.parse(Buffer.from(value, "base64url").toString());
    return Object.hasOwn(NOTICES, notice) && isWire(wire) ? { notice: NOTICES[notice as Notice], wire } : undefined;
  } catch {
    return undefined;
  }
}

const isWire = ({ request, entries }: Wire) =>
  typeof request === "string" &&
  entries.every(
    ({ command, ms, trip }) => typeof command === "string" && typeof ms === "number" && typeof trip === "number",
  );
