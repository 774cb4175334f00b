import type { Session } from "../../session-store.ts";
import { formatSeconds } from "../../views/timeline.js";
import type { KeyClock } from "../demo-store.ts";

/** A timeout of the session. `left` and `of` in milliseconds. */
export interface Clock {
  id: "idle" | "absolute";
  name: string;
  about: string;
  isFirst: boolean;
  left: number;
  of: number;
  text: string;
}

/**
 * Both timeouts, by Redis' clock. The key expires at the one that comes first. If that is the absolute one, the time left
 * of the idle one follows from `last_accessed_at` only. A server wrote that by its own clock, which may be wrong, so the
 * result is limited to what is possible.
 */
export function clocksOf(session: Session, clock: KeyClock): Clock[] {
  const { left, now } = clock;
  const idleTimeout = Number(session.session_ttl) * 1000;
  const deadline = deadlineOf(session) ?? now + left;
  const sinceAccess = now - Date.parse(session.last_accessed_at) || 0; // another program may have written anything
  const idleLeft = isCapped(session, clock) ? Math.min(Math.max(left, idleTimeout - sinceAccess), idleTimeout) : left;
  const absoluteLeft = deadline - now;
  const sinceCreation = now - Date.parse(session.created_at) || 0;
  const absoluteTimeout = absoluteLeft + Math.max(0, sinceCreation);
  const isAbsoluteFirst = absoluteLeft < idleLeft;
  return [
    {
      id: "idle",
      name: "Idle timeout",
      about: "each use resets it",
      isFirst: !isAbsoluteFirst,
      left: idleLeft,
      of: idleTimeout,
      text: formatSeconds(idleLeft),
    },
    {
      id: "absolute",
      name: "Absolute timeout",
      about: "nothing moves it",
      isFirst: isAbsoluteFirst,
      left: absoluteLeft,
      of: absoluteTimeout,
      text: formatSeconds(absoluteLeft),
    },
  ];
}

const CLOCK_TOLERANCE_MS = 100;
/** Whether the key expires at the absolute timeout. */
const isCapped = ({ session_deadline }: Session, { left, now }: KeyClock) =>
  now + left > Number(session_deadline) * 1000 - CLOCK_TOLERANCE_MS;

/** Unix time in milliseconds; undefined if another program wrote what is no time. The next reset repairs it. */
export function deadlineOf({ session_deadline }: Session): number | undefined {
  const time = new Date(Number(session_deadline) * 1000).getTime();
  return Number.isNaN(time) ? undefined : time;
}
