import { defineScript, type RedisScripting, type Session } from "../session-store.ts";
import { UserSessions } from "../user-sessions.ts";

export type DemoSession = Session;

export interface StoreSettings {
  /** Seconds: the idle timeout of a session for which none is chosen. */
  ttl: number;
  /** Seconds: the absolute timeout of a session for which none is chosen, and the largest of both timeouts. */
  absoluteTtl: number;
  hashIds?: boolean;
  prefix?: string;
}

/** When a session's key expires. By Redis' clock, so that it does not matter what time this machine thinks it is. */
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

/** The store, and for the page's countdown the time left in milliseconds. */
export class DemoStore extends UserSessions {
  async readClock(id: string): Promise<KeyClock> {
    const reply = await this.evaluate(CLOCK_SCRIPT, this.keyOf(id), ["clock"], this.startTimeLimit());
    const [left, now] = (reply as unknown[]).map(Number) as [number, number];
    return { left, now };
  }
}

/** A store is no more than a client and these settings, so a request can have one of its own. */
export function openStore(redis: RedisScripting, settings: StoreSettings): DemoStore {
  return new DemoStore({ redis, ...settings });
}
