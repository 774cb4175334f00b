import type { RedisScripting, Session } from "../session-store.ts";
import { UserSessions } from "../user-sessions.ts";

export type DemoSession = Session;
export type DemoStore = UserSessions;

export interface StoreSettings {
  /** Seconds: the idle timeout of a session for which none is chosen. */
  ttl: number;
  /** Seconds: the absolute timeout, and the largest idle timeout. */
  absoluteTtl: number;
  hashIds?: boolean;
  prefix?: string;
}

/** A store is no more than a client and these settings, so a request can have one of its own. */
export function openStore(redis: RedisScripting, settings: StoreSettings): DemoStore {
  return new UserSessions({ redis, ...settings });
}
