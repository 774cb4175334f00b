import { createClient } from "redis";
import type { RedisScripting } from "./session-store.ts";

export async function connect(url: string): Promise<RedisScripting> {
  const redis = createClient({ url });
  redis.on("error", () => {}); // log it
  await redis.connect();
  return redis;
}
