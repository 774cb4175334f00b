import { createClient, type RedisClientType } from "redis";

export type Client = RedisClientType;

/** A client with the demo's settings that affect speed: node-redis' own command timeout costs a timer each time. */
export const connectRedis = (url = process.env["REDIS_URL"] ?? ""): Promise<Client> =>
  createClient({ url, disableOfflineQueue: true, commandOptions: { timeout: 0 } }).connect();

/** A value from a section of Redis' `INFO`. */
export async function infoOf(client: Client, section: string, name: string): Promise<string> {
  return new RegExp(`^${name}:(.*)\r$`, "m").exec(await client.info(section))?.[1] ?? "";
}
