import { createClient } from "redis";
import type { RedisScripting } from "./session-store.ts";

export async function connect(url: string): Promise<RedisScripting> {
  const redis = createClient({
    url,
    disableOfflineQueue: true, // or a write that was reported as failed is done later
    socket: { connectTimeout: 700, reconnectStrategy: (retries) => Math.min(retries * 50, 500) },
  });
  redis.on("error", () => {}); // log it
  await redis.connect();
  return redis;
}
