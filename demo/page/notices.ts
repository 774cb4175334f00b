import type { Clock } from "./clocks.ts";
import type { Mistake } from "./form-field.ts";

/** What the page says, once, after a form did its work. The template ends each with a full stop. */
export const NOTICES = {
  started: "Session started. Your browser got a cookie, Redis got a hash",
  counted: "Page view counted. Each use resets the idle timeout, at most once a second (sliding expiration)",
  ttl: "TTL changed, and the idle timeout is reset",
  rotated:
    "New session ID. The data is the same. An attacker who knew the old ID, from before a log-in, has nothing now",
  otherEnded: "The session is ended. Its browser is logged out",
  othersEnded: "All your other sessions are ended. Only this browser is logged in",
  raced: "The race is over. The race lab shows what came back",
  ended: "Logged out. Redis deleted the hash, your browser forgot the cookie",
};

export type NoticeName = keyof typeof NOTICES;

export const isNoticeName = (value: unknown): value is NoticeName =>
  typeof value === "string" && Object.hasOwn(NOTICES, value);

/** What the page says of the session. */
export interface Notice {
  /** Shown in bold before the text. */
  heading: string;
  /** Without its full stop: the page's script adds the time at which a session ended. */
  text: string;
  isBad: boolean;
  /** For the page's script, which shows the one that applies. `click`: it is about the last click. */
  reason: "" | "click" | "outage" | "idle" | "absolute" | "elsewhere" | "tab" | "lost" | "unknown";
}

/** What a request came to, as far as the page says it. */
interface Outcome {
  sessionId: string | undefined;
  notice: NoticeName | undefined;
  mistake: Mistake | undefined;
  outage: string | undefined;
}

/** `clocks` are those of the session; empty if there is none. */
export function noticeOf({ sessionId, notice, mistake, outage }: Outcome, clocks: Clock[]): Notice {
  const isLive = clocks.length > 0;
  const isUseInVain = clocks.some(({ id, isFirst }) => id === "absolute" && isFirst);
  if (outage !== undefined) return bad(outage, "This page comes back by itself when Redis replies", "outage");
  if (mistake !== undefined && mistake.field === undefined) {
    return bad(mistake.message.replace(/\.?$/, "."), isLive ? "Nothing was changed" : "Log in again");
  }
  if (notice === "counted" && isUseInVain) return good(`Page view counted. ${ABSOLUTE_FIRST}`, "click");
  if (notice !== undefined) return good(NOTICES[notice], "click");
  if (isUseInVain) return good(`Your session is live. ${ABSOLUTE_FIRST}`);
  if (isLive) {
    return good("Your session is live. Each use resets its idle timeout (sliding expiration); a peek does not");
  }
  if (sessionId !== undefined) return bad("Session ended.", "It expired, or somebody deleted it");
  return good("You have no session. Log in, and watch what happens on both sides");
}

const ABSOLUTE_FIRST = "Its absolute timeout comes before its idle timeout now, and no use moves that";

/** One for each way in which a session may end: the page's script shows the right one. `idleTimeout` is in seconds. */
export const endNotices = (idleTimeout: string): Notice[] => [
  bad("Session expired.", `Nobody used it for ${idleTimeout}\u00a0s, so Redis deleted it`, "idle"),
  bad("Session expired.", "Its absolute timeout was reached, so Redis deleted it", "absolute"),
  bad(
    "Session ended.",
    "Something deleted it before its time: another browser of yours, or somebody with access to Redis. Noticed",
    "elsewhere",
  ),
  bad(
    "Session ended.",
    "This browser has no cookie any more: another tab logged out, or the cookie was deleted. Noticed",
    "tab",
  ),
  bad("Session lost.", "Redis was unavailable and came back without it, or somebody deleted it. Noticed", "lost"),
  bad("Session ended.", "It expired or was deleted while this page was not watching. Noticed", "unknown"),
];

function good(text: string, reason: Notice["reason"] = ""): Notice {
  return { heading: "", text, isBad: false, reason };
}

function bad(heading: string, text: string, reason: Notice["reason"] = ""): Notice {
  return { heading, text, isBad: true, reason };
}
