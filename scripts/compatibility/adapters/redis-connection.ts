import { connectRedis } from "./redis-connection/index.ts";
import type { RedisScripting } from "./session-store.ts";

export async function connect(url: string): Promise<RedisScripting> {
  return connectRedis(url);
}
