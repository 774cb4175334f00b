import { RedisClient } from "bun";
import type { RedisScripting } from "./session-store.ts";

export async function connect(url: string): Promise<RedisScripting> {
  const redis = new RedisClient(url, {
    enableOfflineQueue: false, // or a write that was reported as failed is done later
    connectionTimeout: 700,
  });
  await redis.connect();
  return {
    evalSha: (sha1, { keys, arguments: args }) => redis.send("EVALSHA", [sha1, String(keys.length), ...keys, ...args]),
    eval: (script, { keys, arguments: args }) => redis.send("EVAL", [script, String(keys.length), ...keys, ...args]),
  };
}
