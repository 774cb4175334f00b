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
