import type { DemoStore } from "./store.ts";

/** A session in the list of its user. The session ID is left out: whoever sees it could use the session. */
export interface Device {
  handle: string;
  /** Whether it is the session of the request. */
  current: boolean;
  created_at: string;
  last_accessed_at: string;
  /** Seconds left. */
  ttl: number;
}

/** The sessions of a user, newest first. `user` is undefined for a session that another program has written. */
export async function listDevices(
  store: DemoStore,
  id: string,
  user: string | undefined,
  limit: number,
): Promise<Device[]> {
  if (user === undefined) return [];
  const current = store.handleOf(id);
  return (await store.listSessions(user, { limit })).map(({ handle, session }) => ({
    handle,
    current: handle === current,
    created_at: session.created_at,
    last_accessed_at: session.last_accessed_at,
    ttl: Number(session.ttl),
  }));
}
