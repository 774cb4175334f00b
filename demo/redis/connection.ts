import type { RedisClientType } from "redis";
import type { RedisScripting } from "../../session-store.ts";

/**
 * A connection to one server, to a cluster, or to the master that Sentinels name. It never reconnects by itself: when part
 * of it is lost, a new connection replaces it.
 */
export interface RedisConnection {
  commands: RedisCommands;
  /** A client for each server that must reply: the single server, or every master of a cluster. */
  clients(): RedisClientType[];
  /** Why it cannot serve every session; undefined while it can. */
  problem(): unknown;
  /** Opens the connection that replaces this one. */
  reconnect(): Promise<RedisConnection>;
  /** Waits for the replies to commands that were sent, up to a time limit. */
  close(): Promise<void>;
}

/** The commands that the demo sends: those of the store, and those of the race lab. */
export interface RedisCommands extends RedisScripting {
  hGetAll(key: string): Promise<Record<string, string>>;
  hSet(key: string, fields: Record<string, string>): Promise<number>;
  pExpire(key: string, ms: number): Promise<unknown>;
  del(key: string): Promise<number>;
}
