import type { RedisClientType } from "redis";

/**
 * A connection to one server, to a cluster, or to the master that Sentinels name. It never reconnects by itself: when part
 * of it is lost, a new connection replaces it.
 */
export interface OpenConnection {
  commands: RedisCommands;
  /** A client for each server that must reply: the single server, or every master of a cluster. */
  clients(): RedisClientType[];
  /** Why commands cannot be sent to every server; undefined if they can. */
  problem(): unknown;
  /** Opens the connection that replaces this one. */
  reconnect(signal: AbortSignal): Promise<OpenConnection>;
  /** Waits for the replies to commands that were sent, up to a time limit. */
  close(): Promise<void>;
}

/** The commands that can be sent: scripts, and plain commands on one key. */
export interface RedisCommands {
  evalSha(sha1: string, input: ScriptInput): Promise<unknown>;
  eval(script: string, input: ScriptInput): Promise<unknown>;
  hGetAll(key: string): Promise<Record<string, string>>;
  hSet(key: string, fields: Record<string, string>): Promise<number>;
  get(key: string): Promise<string | null>;
  /** `PX`: milliseconds until the key expires. */
  set(key: string, value: string, options: { PX: number }): Promise<unknown>;
  pExpire(key: string, ms: number): Promise<unknown>;
  del(key: string): Promise<number>;
}

export interface ScriptInput {
  keys: string[];
  arguments: string[];
}
