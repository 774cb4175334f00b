import type { Redis } from "./connect.ts";

interface HealthStore {
  createSession(data: object, timeouts: { ttl: number }): Promise<string>;
  deleteSession(id: string): Promise<boolean>;
}

/**
 * Rejects unless sessions can be kept. A Redis that replies to PING may still refuse to write, and in a cluster one master
 * may be down while another one takes the write.
 */
export async function checkHealth(store: HealthStore, redis: Pick<Redis, "ping">): Promise<void> {
  const [id] = await Promise.all([store.createSession({}, { ttl: 1 }), redis.ping()]);
  await store.deleteSession(id);
}
