import { createClient } from "@valkey/client";
import type { RedisScripting } from "./session-store.ts";

export async function connect(url: string): Promise<RedisScripting> {
  const { hostname, port } = new URL(url); // it takes no URL that begins with redis:
  const redis = createClient({
    disableOfflineQueue: true, // or a write that was reported as failed is done later
    socket: {
      host: hostname,
      port: Number(port),
      connectTimeout: 700,
      reconnectStrategy: (retries) => Math.min(retries * 50, 500),
    },
  });
  redis.on("error", () => {}); // log it
  await redis.connect();
  return redis;
}
