import type { SessionSummary } from "../demo-store.ts";
import { formatSeconds } from "../../views/timeline.js";

/** How many of a user's sessions the page shows. */
export const MAX_SHOWN = 20;

/** At most one more than `MAX_SHOWN`. `unread`: the request did not ask for them. `unavailable`: Redis cannot list them. */
export type SessionsToShow = SessionSummary[] | "unread" | "unavailable";

/** The values of `views/user-sessions.ejs`. */
export interface UserSessionsView {
  isUnread: boolean;
  items: UserSessionItem[];
  hasOthers: boolean;
  note: string;
}

interface UserSessionItem {
  handle: string;
  current: boolean;
  name: string;
  device: string;
  created: string;
  /** The time of day. */
  createdTime: string;
  accessedTime: string;
  left: string;
}

export function createUserSessionsView(sessions: SessionsToShow, username: string): UserSessionsView {
  if (sessions === "unread") return { isUnread: true, items: [], hasOthers: false, note: "" };
  if (sessions === "unavailable") {
    return { isUnread: false, items: [], hasOthers: false, note: "Redis cannot list them at the moment." };
  }
  const items = sessions.slice(0, MAX_SHOWN).map(({ handle, current, device, created_at, last_accessed_at, ttl }) => ({
    handle,
    current,
    name: current ? `${device}: this browser` : device,
    device,
    created: created_at,
    createdTime: timeOfDay(created_at),
    accessedTime: timeOfDay(last_accessed_at),
    left: formatSeconds(ttl * 1000),
  }));
  const hasOthers = items.some(({ current }) => !current);
  return { isUnread: false, items, hasOthers, note: noteOn(sessions.length, hasOthers, username) };
}

function noteOn(count: number, hasOthers: boolean, username: string): string {
  if (count > MAX_SHOWN) return `These are the latest ${MAX_SHOWN}. There are more.`;
  if (hasOthers) return "";
  return `Open a second browser or a private window, and log in there as ${username}: that session appears here.`;
}

/** From `2026-04-08T12:34:56Z`. */
const timeOfDay = (timestamp: string) => timestamp.slice(11, 19);
