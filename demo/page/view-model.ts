import type { LoggedCommand } from "../redis/command-log.ts";
import type { KeyClock } from "../redis/key-clock.ts";
import type { DemoSession } from "../store.ts";
import { NOTICES, type Notice } from "./notices.ts";

/** TTLs that are one click away, in seconds. */
const TTL_CHOICES = [
  { ttl: 10, label: "10 s" },
  { ttl: 30, label: "30 s" },
  { ttl: 60, label: "1 min" },
  { ttl: 300, label: "5 min" },
  { ttl: 1800, label: "30 min" },
];

/** What stays the same for as long as the server runs. */
export interface PageSettings {
  cookieName: string;
  isCookieSecure: boolean;
  /** Where Redis is, for people. */
  redisAddress: string;
  /** Seconds: the idle timeout of a session for which none is chosen. */
  ttl: number;
  /** Seconds: the absolute timeout, and the largest idle timeout. */
  absoluteTtl: number;
}

/** A request's Redis commands. */
export interface RequestCost {
  /** `POST /increment` */
  request: string;
  commands: LoggedCommand[];
}

/** Why a form was refused. */
export interface Mistake {
  message: string;
  /** Undefined if it is about the session and not about what was typed. */
  field: string | undefined;
}

/** What a request came to, as far as the page shows it. */
export interface PageState {
  /** The ID in the cookie; undefined without a cookie. */
  sessionId: string | undefined;
  /** The ID's key in Redis. */
  key: string | undefined;
  session: DemoSession | null;
  clock: KeyClock | undefined;
  notice: Notice | undefined;
  mistake: Mistake | undefined;
  /** What was typed into the form that was refused. */
  typed: { username: string | undefined; ttl: string | undefined };
  /** The most recent first. */
  costs: RequestCost[];
}

export interface News {
  /** Shown in bold before the text. */
  heading: string;
  /** Without its full stop: the page's script adds the time of an ending. */
  text: string;
  isBad: boolean;
  /** For the page's script, which keeps one of the two endings that it is given. */
  reason: "" | "expired" | "elsewhere";
}

/** A timeout of the session. `left` and `of` in milliseconds. */
export interface Clock {
  name: string;
  left: number;
  of: number;
}

/** A text box, and what is wrong with its content. */
export interface Box {
  value: string | number;
  mistake: string;
}

/** The values of `views/session.ejs`: texts, numbers and lists of them. */
export interface SessionView {
  state: "none" | "live" | "ended";
  cookie: { name: string; value: string; isSecure: boolean };
  key: string;
  /** Whether the key holds the ID's digest in place of the ID. */
  isKeyDigest: boolean;
  news: News[];
  username: Box;
  ttl: Box;
  largestTtl: number;
  ttlChoices: { ttl: number; label: string }[];
  clocks: Clock[];
  fields: [name: string, value: string][];
  costs: { request: string; roundTrips: string; commands: { text: string; ms: string }[] }[];
  /** For the page's script: what to show when this session ends. */
  ended: SessionView | undefined;
}

/** Computes all that the page shows of a session; the templates only place it. */
export function createSessionView(settings: PageSettings, pageState: PageState): SessionView {
  const { sessionId = "", key = "", mistake, typed, costs } = pageState;
  const { session, clocks } = liveSession(settings, pageState);
  const view: SessionView = {
    state: stateOf(pageState, session),
    cookie: { name: settings.cookieName, value: sessionId, isSecure: settings.isCookieSecure },
    key,
    isKeyDigest: !key.endsWith(sessionId),
    news: newsOf(pageState, session),
    username: { value: typed.username ?? session?.username ?? "", mistake: mistakeIn("username", mistake) },
    ttl: { value: typed.ttl ?? session?.session_ttl ?? settings.ttl, mistake: mistakeIn("ttl", mistake) },
    largestTtl: settings.absoluteTtl,
    ttlChoices: TTL_CHOICES.filter(({ ttl }) => ttl <= settings.absoluteTtl),
    clocks,
    fields: Object.entries((session ?? {}) as Record<string, string>).filter(([name]) => name !== "ttl"),
    costs: costs.map(({ request, commands }) => ({
      request,
      roundTrips: roundTripsOf(commands),
      commands: commands.map(({ text, ms }) => ({ text, ms: `${ms.toFixed(2)} ms` })),
    })),
    ended: undefined,
  };
  return session === null ? view : { ...view, ended: endedView(view, session) };
}

/** A session that expired between the two commands that read it is no session any more. */
function liveSession(settings: PageSettings, { session, clock }: PageState) {
  if (session === null || clock === undefined || clock.left <= 0) return { session: null, clocks: [] };
  return { session, clocks: clocksOf(settings, session, clock) };
}

function stateOf({ sessionId }: PageState, session: DemoSession | null): SessionView["state"] {
  if (session !== null) return "live";
  return sessionId === undefined ? "none" : "ended";
}

function newsOf({ sessionId, notice, mistake }: PageState, session: DemoSession | null): News[] {
  if (mistake !== undefined && mistake.field === undefined) {
    return [bad(mistake.message.replace(/\.?$/, "."), session === null ? "Start a new one" : "Nothing was changed")];
  }
  if (notice !== undefined) return [good(NOTICES[notice])];
  if (session !== null)
    return [good("Your session is running. What you do here resets its idle timeout; watching does not")];
  if (sessionId !== undefined) return [bad("Session expired.", "Its time ran out, or somebody ended it", "expired")];
  return [good("You have no session. Start one, and watch it run out")];
}

const good = (text: string): News => ({ heading: "", text, isBad: false, reason: "" });
const bad = (heading: string, text: string, reason: News["reason"] = ""): News => ({
  heading,
  text,
  isBad: true,
  reason,
});

const mistakeIn = (field: string, mistake: Mistake | undefined) => (mistake?.field === field ? mistake.message : "");

/**
 * The clock that Redis keeps; both timeouts, the nearer one first, once the absolute one is near. The idle timeout is
 * then only known from `last_accessed_at`, which is written by the clock of some server: so it is kept within reason.
 */
function clocksOf({ absoluteTtl }: PageSettings, session: DemoSession, { left, now }: KeyClock): Clock[] {
  const idleTtl = Number(session.session_ttl) * 1000;
  const absoluteLeft = Date.parse(session.created_at) + absoluteTtl * 1000 - now;
  if (absoluteLeft >= idleTtl) return [{ name: "TTL", left, of: idleTtl }];
  const idleLeft = Math.min(idleTtl, Date.parse(session.last_accessed_at) + idleTtl - now);
  const idle = { name: "Idle limit", left: idleLeft, of: idleTtl };
  const absolute = { name: "Absolute limit", left: absoluteLeft, of: absoluteTtl * 1000 };
  return idleLeft < absoluteLeft ? [{ ...idle, left }, absolute] : [{ ...absolute, left }, idle];
}

function roundTripsOf(commands: LoggedCommand[]): string {
  const count = Math.max(0, ...commands.map(({ roundTrip }) => roundTrip));
  if (count === 0) return "nothing to ask Redis";
  return count === 1 ? "1 round trip" : `${count} round trips`;
}

/** With both endings: the page's script knows which it was. */
function endedView(live: SessionView, { session_ttl }: DemoSession): SessionView {
  const cause =
    live.clocks[0]?.name === "Absolute limit"
      ? "Its absolute timeout was reached, so Redis removed it"
      : `Nobody used it for ${session_ttl} s, so Redis removed it`;
  const news = [
    bad("Session expired.", cause, "expired"),
    bad(
      "Session ended.",
      "It was deleted elsewhere: in another tab, by another server, with redis-cli DEL",
      "elsewhere",
    ),
  ];
  const username = { ...live.username, mistake: "" };
  const ttl = { ...live.ttl, mistake: "" };
  return { ...live, state: "ended", news, username, ttl, clocks: [], fields: [], costs: [] };
}
