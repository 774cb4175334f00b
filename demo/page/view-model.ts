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
  /** For the page's script, which keeps one of the endings that it is given. */
  reason: "" | "idle" | "absolute" | "elsewhere" | "unknown";
}

/** A timeout of the session. `left` and `of` in milliseconds. */
export interface Clock {
  id: "idle" | "absolute";
  name: string;
  left: number;
  of: number;
  text: string;
}

/** What a click cost, together with the page load that followed it. */
export interface Cost {
  title: string;
  roundTrips: string;
  requests: { title: string; isOpen: boolean; commands: { text: string; ms: string }[] }[];
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
  costs: Cost[];
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
    costs: costs.length === 0 ? [] : [costOf(costs.toReversed())],
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
    return [bad(mistake.message.replace(/\.?$/, "."), session === null ? "Log in again" : "Nothing was changed")];
  }
  if (notice !== undefined) return [good(NOTICES[notice])];
  if (session !== null)
    return [good("Your session is live. What you do here resets its idle timeout; watching does not")];
  if (sessionId !== undefined) return [bad("Session ended.", "It expired, or somebody deleted it")];
  return [good("You have no session. Log in, and watch it expire")];
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
 * Both timeouts. The key expires at the one that comes first. If that is the absolute one, the idle one is only known from
 * `last_accessed_at`, which was written by the clock of some server: so it is kept within reason.
 */
function clocksOf({ absoluteTtl }: PageSettings, session: DemoSession, { left, now }: KeyClock): Clock[] {
  const idleTimeout = Number(session.session_ttl) * 1000;
  const absoluteLeft = Date.parse(session.created_at) + absoluteTtl * 1000 - now;
  const idleLeft = Date.parse(session.last_accessed_at) + idleTimeout - now;
  const isCapped = left > absoluteLeft - 500;
  const shownIdleLeft = isCapped ? Math.min(Math.max(idleLeft, left), idleTimeout) : left;
  return [
    { id: "idle", name: "Idle timeout", left: shownIdleLeft, of: idleTimeout, text: secondsText(shownIdleLeft) },
    {
      id: "absolute",
      name: "Absolute timeout",
      left: isCapped ? left : absoluteLeft,
      of: absoluteTtl * 1000,
      text: secondsText(absoluteLeft),
    },
  ];
}

const secondsText = (ms: number) => `${Math.ceil(ms / 1000)} s`;

/** `requests`: the click first, then the page load. */
function costOf(requests: RequestCost[]): Cost {
  return {
    title: requests.map(({ request }) => request).join(", then "),
    roundTrips: roundTripsText(requests.reduce((sum, { commands }) => sum + roundTripsOf(commands), 0)),
    requests: requests.map(({ request, commands }, index) => ({
      title: `${request}: ${roundTripsText(roundTripsOf(commands))}`,
      isOpen: index === 0,
      commands: commands.map(({ text, ms }) => ({ text, ms: `${ms.toFixed(2)} ms` })),
    })),
  };
}

const roundTripsOf = (commands: LoggedCommand[]) => Math.max(0, ...commands.map(({ roundTrip }) => roundTrip));

function roundTripsText(count: number): string {
  if (count === 0) return "nothing to ask Redis";
  return count === 1 ? "1 round trip to Redis" : `${count} round trips to Redis`;
}

/** With all endings that the session can have: the page's script knows which it was. */
function endedView(live: SessionView, { session_ttl }: DemoSession): SessionView {
  const news = [
    bad("Session expired.", `Nobody used it for ${session_ttl} s, so Redis deleted it`, "idle"),
    bad("Session expired.", "Its absolute timeout was reached, so Redis deleted it", "absolute"),
    bad(
      "Session ended.",
      "Something else than a timeout ended it: another tab, another device, or redis-cli DEL. This page noticed it",
      "elsewhere",
    ),
    bad("Session ended.", "It expired or was deleted while this page was in the background. It noticed", "unknown"),
  ];
  const username = { ...live.username, mistake: "" };
  const ttl = { ...live.ttl, mistake: "" };
  return { ...live, state: "ended", news, username, ttl, clocks: [], fields: [], costs: [] };
}
