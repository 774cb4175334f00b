import type { RaceResult } from "../race-lab/race-lab.ts";
import type { DemoSession, KeyClock, ListedSession } from "../demo-store.ts";
import { type Cost, costOf, type RequestCost } from "../explain/costs.ts";
import { formField, type FormField, type Mistake, mistakeIn } from "./form-field.ts";
import { NOTICES, type NoticeName } from "./notices.ts";

/** TTLs that are one click away, in seconds. */
const TTL_CHOICES = [
  { ttl: 10, text: "10 s" },
  { ttl: 30, text: "30 s" },
  { ttl: 60, text: "1 min" },
  { ttl: 300, text: "5 min" },
  { ttl: 1800, text: "30 min" },
];

/** Absolute timeouts to choose from, besides that of the server. */
const ABSOLUTE_CHOICES = [
  { absoluteTtl: 60, text: "1 min" },
  { absoluteTtl: 300, text: "5 min" },
];

const CHOICE_TOLERANCE = 5; // seconds

/** How many of a user's sessions the page shows. */
export const MAX_SHOWN = 20;

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

/** The result of a request, as far as the page shows it. */
export interface PageState {
  /** The ID in the cookie; undefined without a cookie. */
  sessionId: string | undefined;
  /** The ID's key in Redis. */
  key: string | undefined;
  session: DemoSession | null;
  clock: KeyClock | undefined;
  /**
   * Those of the session's user, at most one more than `MAX_SHOWN`. `unread`: the request did not ask for them;
   * `unavailable`: Redis could not list them.
   */
  sessions: ListedSession[] | "unread" | "unavailable";
  notice: NoticeName | undefined;
  mistake: Mistake | undefined;
  /** What was typed into the form that was refused. */
  typed: Record<"username" | "ttl" | "absoluteTtl" | "rounds", string | undefined>;
  /** The result of a race. */
  race: RaceResult | undefined;
  /** The most recent first. */
  costs: RequestCost[];
}

/** What the page says of the session. */
export interface Notice {
  /** Shown in bold before the text. */
  heading: string;
  /** Without its full stop: the page's script adds the time at which a session ended. */
  text: string;
  isBad: boolean;
  /** For the page's script, which shows the one that applies. */
  reason: "" | "idle" | "absolute" | "elsewhere" | "unknown";
}

/** A timeout of the session. `left` and `of` in milliseconds. */
export interface Clock {
  id: "idle" | "absolute";
  name: string;
  isFirst: boolean;
  left: number;
  of: number;
  text: string;
}

/** The cookie that the browser holds, or gets at a log-in. */
interface CookieView {
  name: string;
  /** Empty if the browser has no cookie. */
  value: string;
  about: string;
  attributes: { text: string; about: string }[];
}

/** The values of `views/ttl.ejs`. */
interface TtlView extends FormField {
  /** What the button beside the field says. */
  verb: string;
  /** The text before the buttons with short TTLs. */
  alternative: string;
  isMainButton: boolean;
  largest: number;
  choices: { ttl: number; text: string }[];
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
  /** The value as a time for people, if it is one. */
  time?: string;
}

interface DeviceView {
  handle: string;
  current: boolean;
  name: string;
  created: string;
  /** The time of day. */
  createdTime: string;
  accessedTime: string;
  ttl: number;
}

/** The values of `views/devices.ejs`. */
interface DevicesView {
  isUnread: boolean;
  items: DeviceView[];
  hasOthers: boolean;
  note: string;
}

/** The values of `views/session.ejs`. */
export interface SessionView {
  state: "none" | "live" | "ended";
  cookie: CookieView;
  news: Notice[];
  username: FormField;
  ttl: TtlView;
  absoluteTtl: AbsoluteTtlView;
  key: string;
  /** What Redis holds, or why it holds nothing. */
  aboutRedis: string;
  /** If the browser has no cookie, those that a session will have. */
  fields: FieldView[];
  clocks: Clock[];
  devices: DevicesView | undefined;
  costs: Cost[];
  /** For the page's script: what to show when this session ends. */
  ended: SessionView | undefined;
}

/** Computes all that the page shows of a session; the templates only place it. */
export function createSessionView(settings: PageSettings, pageState: PageState): SessionView {
  const { sessionId = "", key = "session:…", mistake, typed } = pageState;
  const { session, clocks } = liveSession(pageState);
  const state = stateOf(pageState, session);
  const view: SessionView = {
    state,
    cookie: cookieView(settings, sessionId, state),
    news: newsOf(pageState, session),
    username: formField("username", typed.username ?? session?.username ?? "", mistake),
    ttl: ttlView(
      settings,
      session !== null,
      formField("ttl", typed.ttl ?? session?.session_ttl ?? settings.ttl, mistake),
    ),
    absoluteTtl: absoluteTtlView(settings, Number(typed.absoluteTtl), mistake),
    key,
    aboutRedis: ABOUT_REDIS[state],
    fields: state === "none" ? FIELDS_TO_COME : fieldsOf(session),
    clocks,
    devices: session === null ? undefined : devicesView(pageState.sessions, session.username ?? ""),
    costs: pageState.costs.length === 0 ? [] : [costOf(pageState.costs.toReversed())],
    ended: undefined,
  };
  if (session === null) return view;
  if (!key.endsWith(sessionId)) view.aboutRedis = ABOUT_REDIS_WITH_DIGEST;
  view.ended = endedView(settings, view, session);
  return view;
}

const ABOUT_REDIS = {
  live: "holds a hash, under a key that always has an expiry:",
  ended: "Nothing is left of the session. Whoever sends its ID is not logged in.",
  none: "will hold a hash for you, under a key that always has an expiry:",
};
const ABOUT_REDIS_WITH_DIGEST =
  "holds a hash. Its key is the SHA-256 digest of the ID, so Redis holds no usable cookie:";

/** A session that expired between the two commands that read it is no session any more. */
function liveSession({ session, clock }: PageState) {
  if (session === null || clock === undefined || clock.left <= 0) return { session: null, clocks: [] };
  return { session, clocks: clocksOf(session, clock) };
}

function stateOf({ sessionId }: PageState, session: DemoSession | null): SessionView["state"] {
  if (session !== null) return "live";
  return sessionId === undefined ? "none" : "ended";
}

function cookieView(settings: PageSettings, value: string, state: SessionView["state"]): CookieView {
  const attributes = settings.isCookieSecure ? SECURE_COOKIE_ATTRIBUTES : COOKIE_ATTRIBUTES;
  return { name: settings.cookieName, value, about: ABOUT_COOKIE[state], attributes };
}

const ABOUT_COOKIE = {
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

const FIELDS_TO_COME: FieldView[] = [
  { name: "session_ttl", value: "", about: "idle timeout: how long Redis keeps it unused" },
  { name: "session_deadline", value: "", about: "absolute timeout: when it ends in any case" },
  { name: "created_at", value: "", about: "for people to read" },
  { name: "last_accessed_at", value: "", about: "for people to read" },
  { name: "session_user", value: "", about: "for the list of this user's sessions" },
  { name: "username", value: "", about: "and what else the application keeps" },
];

function fieldsOf(session: DemoSession | null): FieldView[] {
  if (session === null) return [];
  const deadline = deadlineOf(session);
  return Object.entries(session as Record<string, string>)
    .filter(([name]) => name !== "ttl")
    .map(([name, value]) => {
      const time = name === "session_deadline" && deadline !== undefined ? dateOf(deadline) : "";
      return { name, value, about: ABOUT_FIELDS.get(name) ?? "", time };
    });
}

/** Unix time in milliseconds; undefined if another program wrote what is no time. The next reset repairs it. */
function deadlineOf({ session_deadline }: DemoSession): number | undefined {
  const time = new Date(Number(session_deadline) * 1000).getTime();
  return Number.isNaN(time) ? undefined : time;
}

/** `2026-04-08T12:34:56Z`, as the store writes times. */
const dateOf = (time: number) => `${new Date(time).toISOString().slice(0, -5)}Z`;

function newsOf({ sessionId, notice, mistake }: PageState, session: DemoSession | null): Notice[] {
  if (mistake !== undefined && mistake.field === undefined) {
    return [bad(mistake.message.replace(/\.?$/, "."), session === null ? "Log in again" : "Nothing was changed")];
  }
  if (notice !== undefined) return [good(NOTICES[notice])];
  if (session !== null)
    return [good("Your session is live. Each use resets its idle timeout (sliding expiration); watching does not")];
  if (sessionId !== undefined) return [bad("Session ended.", "It expired, or somebody deleted it")];
  return [good("You have no session. Log in, and watch it expire")];
}

const good = (text: string): Notice => ({ heading: "", text, isBad: false, reason: "" });
const bad = (heading: string, text: string, reason: Notice["reason"] = ""): Notice => ({
  heading,
  text,
  isBad: true,
  reason,
});

function ttlView({ absoluteTtl }: PageSettings, isLive: boolean, field: FormField): TtlView {
  const choices = TTL_CHOICES.filter(({ ttl }) => ttl <= absoluteTtl);
  const texts = isLive
    ? { verb: "Change the TTL", alternative: "or change it at once to" }
    : { verb: "Log in", alternative: "or log in at once with a TTL of" };
  return { ...field, ...texts, isMainButton: !isLive, largest: absoluteTtl, choices };
}

/**
 * `chosen`: seconds. If no choice is near it, the server's timeout is chosen. Near is enough, because that of a session
 * is computed from two clocks: Redis' and a server's.
 */
function absoluteTtlView({ absoluteTtl }: PageSettings, chosen: number, mistake: Mistake | undefined): AbsoluteTtlView {
  const shorter = ABSOLUTE_CHOICES.filter((choice) => choice.absoluteTtl < absoluteTtl);
  const choices = [...shorter, { absoluteTtl, text: durationText(absoluteTtl) }];
  const offered = choices.find((choice) => Math.abs(choice.absoluteTtl - chosen) <= CHOICE_TOLERANCE);
  return { choices, chosen: offered?.absoluteTtl ?? absoluteTtl, mistake: mistakeIn("absolute_ttl", mistake) };
}

/** Seconds as a whole number of the largest unit possible. */
function durationText(seconds: number): string {
  const units: [string, number][] = [
    ["days", 86_400],
    ["h", 3600],
    ["min", 60],
  ];
  const [unit, size] = units.find(([, unitSize]) => seconds % unitSize === 0) ?? ["s", 1];
  return `${seconds / size} ${unit}`;
}

/**
 * Both timeouts, by Redis' clock. The key expires at the one that comes first. If that is the absolute one, the time left
 * of the idle one follows from `last_accessed_at` only. A server wrote that by its own clock, which may be wrong, so the
 * result is limited to what is possible.
 */
function clocksOf(session: DemoSession, clock: KeyClock): Clock[] {
  const { left, now } = clock;
  const idleTimeout = Number(session.session_ttl) * 1000;
  const deadline = deadlineOf(session) ?? now + left;
  const sinceAccess = now - Date.parse(session.last_accessed_at);
  const idleLeft = isCapped(session, clock) ? Math.min(Math.max(left, idleTimeout - sinceAccess), idleTimeout) : left;
  const absoluteLeft = deadline - now;
  const sinceCreation = now - Date.parse(session.created_at) || 0; // another program may have written anything
  const absoluteTimeout = absoluteLeft + Math.max(0, sinceCreation);
  const isAbsoluteFirst = absoluteLeft < idleLeft;
  return [
    {
      id: "idle",
      name: "Idle timeout",
      isFirst: !isAbsoluteFirst,
      left: idleLeft,
      of: idleTimeout,
      text: secondsText(idleLeft),
    },
    {
      id: "absolute",
      name: "Absolute timeout",
      isFirst: isAbsoluteFirst,
      left: absoluteLeft,
      of: absoluteTimeout,
      text: secondsText(absoluteLeft),
    },
  ];
}

const CLOCK_TOLERANCE_MS = 100;
/** Whether the key expires at the absolute timeout. */
const isCapped = ({ session_deadline }: DemoSession, { left, now }: KeyClock) =>
  now + left > Number(session_deadline) * 1000 - CLOCK_TOLERANCE_MS;
const secondsText = (ms: number) => `${Math.ceil(ms / 1000)} s`;

function devicesView(sessions: PageState["sessions"], username: string): DevicesView {
  if (sessions === "unread") return { isUnread: true, items: [], hasOthers: false, note: "" };
  if (sessions === "unavailable") {
    return { isUnread: false, items: [], hasOthers: false, note: "Redis cannot list them at the moment." };
  }
  const items = sessions.slice(0, MAX_SHOWN).map(({ handle, current, created_at, last_accessed_at, ttl }) => ({
    handle,
    current,
    name: current ? "This browser" : "Another browser",
    created: created_at,
    createdTime: timeOfDay(created_at),
    accessedTime: timeOfDay(last_accessed_at),
    ttl,
  }));
  const hasOthers = items.some(({ current }) => !current);
  return { isUnread: false, items, hasOthers, note: devicesNote(sessions.length, hasOthers, username) };
}

function devicesNote(count: number, hasOthers: boolean, username: string): string {
  if (count > MAX_SHOWN) return `These are the latest ${MAX_SHOWN}. There are more.`;
  if (hasOthers) return "";
  return `Open a second browser or a private window, and log in there as ${username}: that session appears here.`;
}

/** From `2026-04-08T12:34:56Z`. */
const timeOfDay = (timestamp: string) => timestamp.slice(11, 19);

/** Has the news of each possible end: the page's script shows the right one. The form offers the same timeouts again. */
function endedView(settings: PageSettings, live: SessionView, session: DemoSession): SessionView {
  const { username = "", session_ttl, session_deadline, created_at } = session;
  const absoluteTtl = Number(session_deadline) - Date.parse(created_at) / 1000;
  return {
    ...live,
    state: "ended",
    cookie: cookieView(settings, live.cookie.value, "ended"),
    news: [
      bad("Session expired.", `Nobody used it for ${session_ttl} s, so Redis deleted it`, "idle"),
      bad("Session expired.", "Its absolute timeout was reached, so Redis deleted it", "absolute"),
      bad(
        "Session ended.",
        "Something other than a timeout ended it: another tab, another device, or redis-cli DEL. This page noticed it",
        "elsewhere",
      ),
      bad("Session ended.", "It expired or was deleted while this page was in the background. It noticed", "unknown"),
    ],
    username: { value: username, mistake: "" },
    ttl: ttlView(settings, false, { value: session_ttl, mistake: "" }),
    absoluteTtl: absoluteTtlView(settings, absoluteTtl, undefined),
    aboutRedis: ABOUT_REDIS.ended,
    fields: [],
    clocks: [],
    devices: undefined,
    costs: [],
  };
}
