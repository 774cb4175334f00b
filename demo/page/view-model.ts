import type { Device } from "../devices.ts";
import type { DemoSession, KeyClock } from "../store.ts";
import { type Cost, costOf, type RequestCost } from "./costs.ts";
import { NOTICES, type Notice } from "./notices.ts";
import { createRaceView, type RaceView } from "./race-view.ts";
import type { RaceResult } from "../race-lab/race-lab.ts";

/** TTLs that are one click away, in seconds. */
const TTL_CHOICES = [
  { ttl: 10, label: "10 s" },
  { ttl: 30, label: "30 s" },
  { ttl: 60, label: "1 min" },
  { ttl: 300, label: "5 min" },
  { ttl: 1800, label: "30 min" },
];

/** Absolute timeouts to choose from, besides that of the server. */
const ABSOLUTE_CHOICES = [
  { absoluteTtl: 60, label: "1 min" },
  { absoluteTtl: 300, label: "5 min" },
];

/** How many of a user's sessions the page shows. */
export const MAX_DEVICES = 20;

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
  /** Those of the session's user, at most one more than `MAX_DEVICES`; undefined if Redis could not list them. */
  devices: Device[] | undefined;
  notice: Notice | undefined;
  mistake: Mistake | undefined;
  /** What was typed into the form that was refused. */
  typed: Record<"username" | "ttl" | "absoluteTtl" | "rounds", string | undefined>;
  /** How a race came out. */
  race: RaceResult | undefined;
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
  absoluteChoices: { absoluteTtl: number; label: string; isChosen: boolean }[];
  absoluteMistake: string;
  clocks: Clock[];
  fields: [name: string, value: string][];
  /** Undefined if Redis could not list them. */
  devices: Device[] | undefined;
  /** Whether this user has more sessions than are shown. */
  hasMoreDevices: boolean;
  costs: Cost[];
  rounds: Box;
  race: RaceView;
  /** For the page's script: what to show when this session ends. */
  ended: SessionView | undefined;
}

/** Computes all that the page shows of a session; the templates only place it. */
export function createSessionView(settings: PageSettings, pageState: PageState): SessionView {
  const { sessionId = "", key = "", mistake, typed, costs } = pageState;
  const { session, clocks } = liveSession(pageState);
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
    absoluteChoices: absoluteChoicesOf(settings, typed.absoluteTtl),
    absoluteMistake: mistakeIn("absolute_ttl", mistake),
    clocks,
    fields: Object.entries((session ?? {}) as Record<string, string>).filter(([name]) => name !== "ttl"),
    devices: pageState.devices?.slice(0, MAX_DEVICES),
    hasMoreDevices: (pageState.devices?.length ?? 0) > MAX_DEVICES,
    costs:
      costs.length === 0
        ? []
        : [costOf(costs.toReversed(), session === null ? undefined : Number(session.session_ttl))],
    rounds: { value: typed.rounds ?? pageState.race?.rounds ?? 100, mistake: mistakeIn("rounds", mistake) },
    race: createRaceView(pageState.race),
    ended: undefined,
  };
  return session === null ? view : { ...view, ended: endedView(view, session) };
}

function absoluteChoicesOf({ absoluteTtl }: PageSettings, typed: string | undefined) {
  const shorter = ABSOLUTE_CHOICES.filter((choice) => choice.absoluteTtl < absoluteTtl);
  const choices = [...shorter, { absoluteTtl, label: durationText(absoluteTtl) }];
  const chosen = choices.find((choice) => String(choice.absoluteTtl) === typed) ?? choices.at(-1);
  return choices.map((choice) => ({
    absoluteTtl: choice.absoluteTtl,
    label: choice.label,
    isChosen: choice === chosen,
  }));
}

/** Seconds in the largest unit that holds them without a rest. */
function durationText(seconds: number): string {
  const units: [string, number][] = [
    ["days", 86_400],
    ["h", 3600],
    ["min", 60],
  ];
  const [unit, size] = units.find(([, unitSize]) => seconds % unitSize === 0) ?? ["s", 1];
  return `${seconds / size} ${unit}`;
}

/** A session that expired between the two commands that read it is no session any more. */
function liveSession({ session, clock }: PageState) {
  if (session === null || clock === undefined || clock.left <= 0) return { session: null, clocks: [] };
  return { session, clocks: clocksOf(session, clock) };
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
 * Both timeouts, by Redis' clock. The key expires at the one that comes first. If that is the absolute one, the idle one is
 * only known from `last_accessed_at`, which was written by the clock of some server: so it is kept within reason.
 */
function clocksOf(session: DemoSession, { left, now }: KeyClock): Clock[] {
  const idleTimeout = Number(session.session_ttl) * 1000;
  const deadline = Number(session.session_deadline) * 1000;
  const isCapped = now + left > deadline - CLOCK_TOLERANCE_MS;
  const sinceAccess = now - Date.parse(session.last_accessed_at);
  const idleLeft = isCapped ? Math.min(Math.max(left, idleTimeout - sinceAccess), idleTimeout) : left;
  const absoluteTimeout = Math.max(deadline - now, deadline - Date.parse(session.created_at));
  return [
    { id: "idle", name: "Idle timeout", left: idleLeft, of: idleTimeout, text: secondsText(idleLeft) },
    {
      id: "absolute",
      name: "Absolute timeout",
      left: deadline - now,
      of: absoluteTimeout,
      text: secondsText(deadline - now),
    },
  ];
}

const CLOCK_TOLERANCE_MS = 100;
const secondsText = (ms: number) => `${Math.ceil(ms / 1000)} s`;

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
  const ttl = { value: session_ttl, mistake: "" };
  return { ...live, state: "ended", news, username, ttl, clocks: [], fields: [], costs: [] };
}
