import type { RedisAccess, RedisServer } from "./single.ts";

/** Where Redis is, what it is, and how to log in. */
export type RedisTarget = RedisServer &
  RedisAccess &
  ({ kind: "single" | "cluster" } | { kind: "sentinel"; masterName: string });

/** For people: without user and password. */
export function addressOf(target: RedisTarget): string {
  const address = `${target.host.includes(":") ? `[${target.host}]` : target.host}:${target.port}`;
  if (target.kind === "cluster") return `${address} (cluster)`;
  return target.kind === "sentinel" ? `${address} (Sentinel of ${target.masterName})` : address;
}
