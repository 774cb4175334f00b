import type { DemoStore } from "../store.ts";
import type { Redis } from "./connect.ts";

/**
 * Rejects unless sessions can be kept. A Redis that replies to PING may still refuse to write, and in a cluster one master
 * may be down while another one takes the write.
 */
export async function checkHealth(
  store: Pick<DemoStore, "createSession" | "deleteSession">,
  redis: Pick<Redis, "ping">,
): Promise<void> {
  const [id] = await Promise.all([store.createSession({}, { ttl: 1 }), redis.ping()]);
  await store.deleteSession(id);
}
