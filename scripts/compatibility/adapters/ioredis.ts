import { Redis } from "ioredis";
import type { RedisScripting } from "./session-store.ts";

export async function connect(url: string): Promise<RedisScripting> {
  const redis = new Redis(url, {
    lazyConnect: true,
    enableOfflineQueue: false, // or a write that was reported as failed is done later
    autoResendUnfulfilledCommands: false, // or a write whose reply was lost is done twice
    socketTimeout: 3000,
    retryStrategy: (times) => Math.min(times * 50, 500),
  });
  redis.on("error", () => {}); // log it
  await redis.connect(); // commands fail until the client is ready
  return {
    evalSha: (sha1, { keys, arguments: args }) => redis.evalsha(sha1, keys.length, ...keys, ...args),
    eval: (script, { keys, arguments: args }) => redis.eval(script, keys.length, ...keys, ...args),
  };
}
