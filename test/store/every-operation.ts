import type { RedisSessionStore } from "../../session-store.ts";
import { LONG_AGO } from "../store-under-test.ts";

/** The ID of no session. */
export const SOME_ID = "A".repeat(43);

export type Run = (store: RedisSessionStore, id: string) => Promise<unknown>;
/** `none`: what the operation returns if there is no such session. */
type OnSession = [operation: string, run: Run, none: null | false];

export const refreshing: OnSession[] = [
  ["getSession", (store, id) => store.getSession(id), null],
  ["updateSession", (store, id) => store.updateSession(id, { color: "red" }), false],
  ["updateSession with no field", (store, id) => store.updateSession(id, {}), false],
  ["updateSession that removes a field", (store, id) => store.updateSession(id, { color: null }), false],
  ["incrementField", (store, id) => store.incrementField(id, "page_views"), null],
  ["setSessionTtl", (store, id) => store.setSessionTtl(id, 50), false],
];
export const peeks: OnSession[] = [
  ["getSession without refresh", (store, id) => store.getSession(id, { refreshTtl: false }), null],
  ["getTtl", (store, id) => store.getTtl(id), null],
  ["getConfiguredTtl", (store, id) => store.getConfiguredTtl(id), null],
];
export const enders: OnSession[] = [
  ["rotateSession", (store, id) => store.rotateSession(id), null],
  ["deleteSession", (store, id) => store.deleteSession(id), false],
];
export const onSession = [...refreshing, ...peeks, ...enders];

export const writes: [operation: string, run: Run][] = [
  ["createSession", (store) => store.createSession()],
  ["updateSession", (store, id) => store.updateSession(id, { color: "red" })],
  ["incrementField", (store, id) => store.incrementField(id, "page_views")],
  ["setSessionTtl", (store, id) => store.setSessionTtl(id, 20)],
];

/** The hash of a session whose deadline is that many seconds from now. */
export const storedSession = (secondsToDeadline: number, fields: Record<string, string> = {}) => ({
  username: "grace",
  page_views: "3",
  session_ttl: "60",
  created_at: LONG_AGO,
  last_accessed_at: LONG_AGO,
  session_deadline: String(Math.floor(Date.now() / 1000) + secondsToDeadline),
  ...fields,
});
