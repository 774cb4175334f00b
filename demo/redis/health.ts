import type { DemoStore } from "../demo-store.ts";
import type { Redis } from "./connect.ts";

/**
 * Rejects unless sessions can be written. Two checks are needed: a Redis that replies to PING may refuse writes, and in a
 * cluster the write may reach one master while another one is down.
 */
export async function checkHealth(
  store: Pick<DemoStore, "createSession" | "deleteSession">,
  redis: Pick<Redis, "ping">,
): Promise<void> {
  const [id] = await Promise.all([store.createSession({}, { ttl: 1 }), redis.ping()]);
  await store.deleteSession(id);
}
