import { createClient } from "redis";
import { startPrivateRedis } from "../demo/redis/private.ts";
import { OTHERS, pin } from "./cores.ts";

/** A Redis of our own, in memory and on the loopback, so that nothing on this machine is touched. */
export interface BenchRedis {
  url: string;
  pid: number;
  version: string;
  stop(): Promise<void>;
}

export async function startRedis(): Promise<BenchRedis> {
  const redis = await startPrivateRedis();
  const url = `redis://${redis.host}:${redis.port}`;
  const client = await createClient({ url }).connect();
  const information = await client.info("server");
  await client.configSet("save", ""); // no snapshots while it is measured
  await client.close();
  const value = (name: string) => new RegExp(`^${name}:(.*)\r$`, "m").exec(information)?.[1] ?? "";
  const pid = Number(value("process_id"));
  pin(pid, OTHERS);
  return { url, pid, version: value("redis_version"), stop: () => redis.stop() };
}

export type Client = Awaited<ReturnType<typeof connectLikeDemo>>;

/** With the settings of `demo/redis-client.ts` that cost or save CPU time. */
export const connectLikeDemo = ({ url }: BenchRedis) =>
  createClient({ url, disableOfflineQueue: true, commandOptions: { timeout: 0 } }).connect();

export const connectByDefault = ({ url }: BenchRedis) => createClient({ url }).connect();
