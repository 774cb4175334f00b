import { type RedisScripting, RedisUnavailableError } from "../../session-store.ts";

/** Both by Redis' clock, in milliseconds, so that it does not matter what time this machine thinks it is. */
export interface KeyClock {
  /** Until the key expires; negative if there is no such key. */
  left: number;
  /** Unix time. */
  now: number;
}

const SCRIPT = `
local time = redis.call("TIME")
return { redis.call("PTTL", KEYS[1]), time[1], time[2] }
`;

/** `clock` names the script where the commands are shown. */
export async function readKeyClock(redis: RedisScripting, key: string): Promise<KeyClock> {
  try {
    const reply = await redis.eval(SCRIPT, { keys: [key], arguments: ["clock"] });
    const [left, seconds, microseconds] = (reply as unknown[]).map(Number) as [number, number, number];
    return { left, now: seconds * 1000 + Math.floor(microseconds / 1000) };
  } catch (error) {
    throw new RedisUnavailableError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}
