import type { RaceResult } from "../race-lab/race-lab.ts";
import type { KeyClock } from "../demo-store.ts";
import { type Cost, costOf, type RequestCost } from "../explain/costs.ts";
import { type Clock, clocksOf, deadlineOf } from "./clocks.ts";
import { formField, type FormField, type Mistake, mistakeIn } from "./form-field.ts";
import { endNotices, type Notice, noticeOf, type NoticeName } from "./notices.ts";
import { createUserSessionsView, type SessionsToShow, type UserSessionsView } from "./user-sessions-view.ts";
import type { Session } from "../../session-store.ts";

/** TTLs that are one click away, in seconds. */
const TTL_CHOICES = [15, 30, 60, 300, 1800];

/** Seconds: the idle timeout of a log-in on the page, short enough to be watched. Programs get that of the settings. */
export const LOG_IN_TTL = 15;

/** Absolute timeouts to choose from, in seconds, besides that of the server. */
const ABSOLUTE_CHOICES = [60, 300];

const CHOICE_TOLERANCE = 5; // seconds

/** What stays the same for as long as the server runs. */
export interface PageSettings {
  cookieName: string;
  isCookieSecure: boolean;
  /** Where Redis is, for people. */
  redisAddress: string;
  /** Seconds: the absolute timeout, and the largest idle timeout. */
  absoluteTtl: number;
}

/** The result of a request, as far as the page shows it. */
export interface PageState {
  /** The ID in the cookie; undefined without a cookie. */
  sessionId: string | undefined;
  /** The ID's key in Redis. */
  key: string | undefined;
  session: Session | null;
  clock: KeyClock | undefined;
  sessions: SessionsToShow;
  notice: NoticeName | undefined;
  mistake: Mistake | undefined;
  /** What was typed into the form that was refused. */
  typed: Record<"username" | "ttl" | "absoluteTtl" | "rounds", string | undefined>;
  /** The result of a race. */
  race: RaceResult | undefined;
  /** The most recent first. */
  costs: RequestCost[];
  /** Why nothing is known of the session; undefined if Redis replied. */
  outage: string | undefined;
}

/** The cookie that the browser holds, or gets at a log-in. */
interface CookieView {
  name: string;
  /** Empty if the browser has no cookie. */
  value: string;
  about: string;
  attributes: { text: string; about: string }[];
}

/** The idle timeout that a session has, or that a log-in will give it. */
interface TtlView extends FormField {
  /** The value for people. */
  text: string;
  largest: number;
  choices: { ttl: number; text: string; isCurrent: boolean }[];
}

interface AbsoluteTtlView {
  choices: { absoluteTtl: number; text: string }[];
  chosen: number;
  mistake: string;
}

interface FieldView {
  name: string;
  value: string;
  about: string;
  /** The value as a time for people; empty if it is none. */
  time: string;
}

/** The values of `views/sides.ejs`. */
interface SidesView {
  /** `unknown`: Redis did not reply. */
  state: "none" | "live" | "ended" | "unknown";
  cookie: CookieView;
  notices: Notice[];
  username: FormField;
  ttl: TtlView;
  absoluteTtl: AbsoluteTtlView;
  key: string;
  /** What Redis holds, or why it holds nothing. */
  aboutRedis: string;
  fields: FieldView[];
  clocks: Clock[];
}

/** The values of `views/session.ejs`. */
export interface SessionView extends SidesView {
  /** Redis' time, as Unix time in milliseconds; empty if it was not asked. The clock of the browser may be wrong. */
  now: number | "";
  userSessions: UserSessionsView | undefined;
  costs: Cost[];
  /** For the page's script: what to show when this session ends. */
  ended: SidesView | undefined;
}

/** Computes all that the page shows of a session; the templates only place it. */
export function createSessionView(settings: PageSettings, pageState: PageState): SessionView {
  const { sessionId = "", key = "session:…", mistake, typed } = pageState;
  const { session, clocks } = liveSession(pageState);
  const logInTtl = Math.min(LOG_IN_TTL, settings.absoluteTtl);
  const state = stateOf(pageState, session);
  const view: SessionView = {
    state,
    now: pageState.clock?.now ?? "",
    cookie: cookieView(settings, sessionId, state),
    notices: [noticeOf(pageState, clocks)],
    username: formField("username", typed.username ?? session?.username ?? "", mistake),
    ttl: ttlView(settings, typedTtl(pageState) ?? session?.session_ttl ?? logInTtl, mistake),
    absoluteTtl: absoluteTtlView(settings, Number(typed.absoluteTtl), mistake),
    key,
    aboutRedis: ABOUT_REDIS[state],
    fields: fieldsOf(session),
    clocks,
    userSessions: session === null ? undefined : createUserSessionsView(pageState.sessions, session.username ?? ""),
    costs: pageState.costs.length === 0 ? [] : [costOf(pageState.costs.toReversed())],
    ended: undefined,
  };
  if (session === null) return view;
  if (!key.endsWith(sessionId)) view.aboutRedis = ABOUT_REDIS_WITH_DIGEST;
  view.ended = endedView(settings, view, session);
  return view;
}

const ABOUT_REDIS = {
  unknown: "does not reply, so nothing is known of the session under this key:",
  live: "holds a hash, under a key that always has an expiry:",
  ended: "Nothing is left of the session. Whoever sends its ID is not logged in.",
  none: "has no session for you. At log-in it gets a hash, under a key that expires:",
};
const ABOUT_REDIS_WITH_DIGEST =
  "holds a hash. Its key is the SHA-256 digest of the ID, so Redis holds no usable cookie:";

/** A session that expired between the two commands that read it is no session any more. */
function liveSession({ session, clock }: PageState) {
  if (session === null || clock === undefined || clock.left <= 0) return { session: null, clocks: [] };
  return { session, clocks: clocksOf(session, clock) };
}

function stateOf({ sessionId, outage }: PageState, session: Session | null): SessionView["state"] {
  if (outage !== undefined) return "unknown";
  if (session !== null) return "live";
  return sessionId === undefined ? "none" : "ended";
}

function cookieView(settings: PageSettings, value: string, state: SessionView["state"]): CookieView {
  const ofCookie = settings.isCookieSecure ? SECURE_COOKIE_ATTRIBUTES : COOKIE_ATTRIBUTES;
  const attributes = state === "none" ? [] : ofCookie;
  return { name: settings.cookieName, value, about: ABOUT_COOKIE[state], attributes };
}

const ABOUT_COOKIE = {
  unknown: "keeps its cookie. Whether it opens a session, only Redis can tell:",
  live: "holds one cookie, with an ID that says nothing about you:",
  ended: "still has the cookie, and its ID is no longer valid:",
  none: "has no cookie. At log-in it gets one, with a random ID and nothing else:",
};

const COOKIE_ATTRIBUTES = [
  { text: "HttpOnly", about: "no script on a page can read it" },
  { text: "SameSite=Lax", about: "not sent with another site's form" },
  { text: "Path=/", about: "sent with every request here" },
  { text: "no Max-Age", about: "it has no end date: Redis decides" },
];
const SECURE_COOKIE_ATTRIBUTES = [{ text: "Secure", about: "it is sent over HTTPS only" }, ...COOKIE_ATTRIBUTES];

/** What each field of the hash is for, where its name and its value do not say it. */
const ABOUT_FIELDS = new Map([
  ["session_ttl", "idle timeout in seconds"],
  ["session_deadline", "absolute timeout:"],
  ["session_user", "for the list of this user's sessions"],
]); // not an object: a field may be named `constructor`

function fieldsOf(session: Session | null): FieldView[] {
  if (session === null) return [];
  const deadline = deadlineOf(session);
  return Object.entries(session as Record<string, string>)
    .filter(([name]) => name !== "ttl")
    .map(([name, value]) => {
      const time = name === "session_deadline" && deadline !== undefined ? timestampOf(deadline) : "";
      return { name, value, about: ABOUT_FIELDS.get(name) ?? "", time };
    });
}

/** `2026-04-08T12:34:56Z`, as the store writes times. */
const timestampOf = (time: number) => `${new Date(time).toISOString().slice(0, -5)}Z`;

/** A log-in has no field for it, unless what was sent is no TTL. */
function typedTtl({ session, typed, mistake }: PageState): string | undefined {
  const isShown = session !== null || mistake?.field === "ttl" || /^\d+$/.test(typed.ttl ?? "");
  return isShown ? typed.ttl : undefined;
}

function ttlView({ absoluteTtl }: PageSettings, value: string | number, mistake: Mistake | undefined): TtlView {
  const choices = TTL_CHOICES.filter((ttl) => ttl <= absoluteTtl);
  return {
    ...formField("ttl", value, mistake),
    text: durationText(Number(value)),
    largest: absoluteTtl,
    choices: choices.map((ttl) => ({ ttl, text: durationText(ttl), isCurrent: ttl === Number(value) })),
  };
}

/**
 * `chosen`: seconds. If no choice is near it, the server's timeout is chosen. Near is enough, because that of a session
 * is computed from two clocks: Redis' and a server's.
 */
function absoluteTtlView({ absoluteTtl }: PageSettings, chosen: number, mistake: Mistake | undefined): AbsoluteTtlView {
  const offered = [...ABSOLUTE_CHOICES.filter((choice) => choice < absoluteTtl), absoluteTtl];
  return {
    choices: offered.map((choice) => ({ absoluteTtl: choice, text: durationText(choice) })),
    chosen: offered.find((choice) => Math.abs(choice - chosen) <= CHOICE_TOLERANCE) ?? absoluteTtl,
    mistake: mistakeIn("absolute_ttl", mistake),
  };
}

/** Seconds as a whole number of the largest unit possible. */
function durationText(seconds: number): string {
  if (seconds === 86_400) return "1\u00a0day";
  const units: [string, number][] = [
    ["days", 86_400],
    ["h", 3600],
    ["min", 60],
  ];
  const [unit, size] = units.find(([, unitSize]) => seconds % unitSize === 0) ?? ["s", 1];
  return `${seconds / size}\u00a0${unit}`;
}

/** What the page's script shows when the session ends. The form offers the same timeouts again. */
function endedView(settings: PageSettings, live: SidesView, session: Session): SidesView {
  const { username = "", session_ttl, session_deadline, created_at } = session;
  const absoluteTtl = Number(session_deadline) - Date.parse(created_at) / 1000;
  return {
    state: "ended",
    key: live.key,
    cookie: { ...cookieView(settings, live.cookie.value, "ended"), attributes: [] }, // the page has them already
    notices: endNotices(session_ttl),
    username: { value: username, mistake: "" },
    ttl: ttlView(settings, session_ttl, undefined),
    absoluteTtl: absoluteTtlView(settings, absoluteTtl, undefined),
    aboutRedis: ABOUT_REDIS.ended,
    fields: [],
    clocks: [],
  };
}
