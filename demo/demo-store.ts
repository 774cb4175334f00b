import { defineScript } from "../session-store.ts";
import { UserSessions, type UserSessionsOptions } from "../user-sessions.ts";

/** A session in the list of its user. The session ID is left out: whoever sees it could use the session. */
export interface SessionSummary {
  handle: string;
  /** Whether it is the session of the request. */
  current: boolean;
  /** The browser that it was started in. */
  device: string;
  created_at: string;
  last_accessed_at: string;
  /** Seconds left. */
  ttl: number;
}

export interface StoreSettings {
  /** The idle timeout in seconds, for sessions that are created without one. */
  ttl: number;
  /** The absolute timeout in seconds, for sessions that are created without one. No timeout may be longer. */
  absoluteTtl: number;
  hashIds?: boolean;
  prefix?: string;
  timeoutMs?: number;
}

/** The time left to a session, and the time, by Redis' clock: that of this machine may be wrong. */
export interface KeyClock {
  /** Milliseconds until the key expires; negative if there is no such key. */
  left: number;
  /** Unix time in milliseconds. */
  now: number;
}

const CLOCK_SCRIPT = defineScript(`
local time = redis.call("TIME")
return { redis.call("PTTL", KEYS[1]), time[1] * 1000 + math.floor(time[2] / 1000) }
`);

/** The most sessions of a user. All who log in without a name are one user, Guest. */
export const MAX_SESSIONS = 100;

export class DemoStore extends UserSessions {
  constructor(options: UserSessionsOptions) {
    super({ ...options, maxSessions: MAX_SESSIONS });
  }

  /**
   * Makes Redis cache the scripts, so that the first log-in costs what all others cost. `SCRIPT LOAD` would need a
   * permission of its own: EVAL caches a script too, and does nothing here, because there is no such session.
   */
  async cacheScripts(): Promise<void> {
    const id = "A".repeat(43);
    await Promise.all([this.getSession(id, { refreshTtl: false }), this.readClock(id), this.listSessions(id)]);
  }

  /** For the page's countdown: the time left in milliseconds. */
  async readClock(id: string): Promise<KeyClock> {
    const name = "clock"; // for the page's list of commands; the script does not use it
    const reply = await this.steps.scripts.run(CLOCK_SCRIPT, this.keyOf(id), [name]);
    const [left, now] = (reply as unknown[]).map(Number) as [number, number];
    return { left, now };
  }

  /** The sessions of a user, newest first. `user` is undefined for a session that another program has written. */
  async listSessionsOf(user: string | undefined, currentId: string, limit: number): Promise<SessionSummary[]> {
    if (user === undefined) return [];
    const current = this.handleOf(currentId);
    return (await this.listSessions(user, { limit })).map(({ handle, session }) => ({
      handle,
      current: handle === current,
      device: session["device"] ?? "Unknown device", // another program may have created it
      created_at: session.created_at,
      last_accessed_at: session.last_accessed_at,
      ttl: Number(session.ttl),
    }));
  }
}
