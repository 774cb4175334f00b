import { connectClient } from "./client.ts";
import { replyCode } from "./errors.ts";
import type { OpenConnection } from "./open-connection.ts";
import { findServerProblem } from "./server-check.ts";
import { connectSingle } from "./single.ts";
import type { RedisAccess, RedisServer } from "./target.ts";
import { REDIS_TIME_LIMITS, withTimeLimit } from "./time-limits.ts";

const NO_REPLY = `no reply of the Sentinel within ${REDIS_TIME_LIMITS.checkReplyMs} ms`;

/**
 * Connects to the master that the Sentinels name, and asks them again and again whether it still is the master.
 *
 * node-redis' own Sentinel client (`createSentinel` of 6.3.1) is not used, because every command waits while it asks a
 * Sentinel that hangs.
 */
export async function connectSentinel(
  sentinels: Sentinels,
  access: RedisAccess,
  signal: AbortSignal,
): Promise<OpenConnection> {
  const master = await sentinels.findMaster(signal);
  const connection = await connectSingle(master, access, signal);
  if (await isReplica(connection)) sentinels.askAnotherFirst();
  let replaced: Error | undefined;
  const closing = new AbortController();
  const timer = setInterval(() => void checkMaster(), REDIS_TIME_LIMITS.sentinelEveryMs).unref();
  return {
    ...connection,
    problem: () => replaced ?? connection.problem(),
    reconnect: (nextSignal) => connectSentinel(sentinels, access, nextSignal),
    close() {
      clearInterval(timer);
      closing.abort();
      return connection.close();
    },
  };

  /** A master that was replaced may still reply, but what is written to it is lost. */
  async function checkMaster(): Promise<void> {
    const named = await sentinels.findMaster(closing.signal).catch(() => master); // if no Sentinel replies, the master may be healthy
    if (named.host === master.host && named.port === master.port) return;
    replaced = new Error("the Sentinels name another master");
    for (const client of connection.clients()) client.destroy();
  }
}

/** A Sentinel that was cut off from the others may name a master that has become a replica. */
async function isReplica(connection: OpenConnection): Promise<boolean> {
  const replies = Promise.all(connection.clients().map((client) => findServerProblem(client, false)));
  const problems = await withTimeLimit(REDIS_TIME_LIMITS.checkReplyMs, NO_REPLY, replies).catch(() => []);
  return problems.some((problem) => problem?.isReplica);
}

/** The Sentinels of one master. It is enough to know one: each knows the others. */
export class Sentinels {
  readonly #masterName: string;
  readonly #named: RedisServer[];
  readonly #access: RedisAccess;
  #known: RedisServer[];

  constructor(masterName: string, named: RedisServer[], access: RedisAccess) {
    this.#masterName = masterName;
    this.#named = named;
    this.#access = access;
    this.#known = named;
  }

  /** Asks one Sentinel after the other, first the one that replied last time. */
  async findMaster(signal: AbortSignal): Promise<RedisServer> {
    let firstError: unknown;
    for (const sentinel of this.#known) {
      try {
        return await this.#ask(sentinel, signal);
      } catch (error) {
        firstError ??= error;
      }
    }
    throw firstError;
  }

  askAnotherFirst(): void {
    const [first, ...others] = this.#known as [RedisServer, ...RedisServer[]];
    this.#known = [...others, first];
  }

  /** The password is sent only to a Sentinel that asks for one: a Sentinel without a password would refuse it. */
  async #ask(sentinel: RedisServer, signal: AbortSignal): Promise<RedisServer> {
    const { tls, username, password } = this.#access;
    const withoutPassword = { tls, username: undefined, password: undefined, database: 0 };
    try {
      return await this.#askWith(withoutPassword, sentinel, signal);
    } catch (error) {
      if (replyCode(error) !== "NOAUTH" || password === undefined) throw error;
      return this.#askWith({ ...withoutPassword, username, password }, sentinel, signal);
    }
  }

  async #askWith(access: RedisAccess, sentinel: RedisServer, signal: AbortSignal): Promise<RedisServer> {
    const client = await connectClient(sentinel, access, signal);
    try {
      const replies = Promise.all([
        client.sendCommand<[string, string]>(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", this.#masterName]),
        client.sendCommand<{ ip: string; port: string }[]>(["SENTINEL", "SENTINELS", this.#masterName]),
      ]);
      const [[host, port], others] = await withTimeLimit(REDIS_TIME_LIMITS.checkReplyMs, NO_REPLY, replies);
      const known = others.map((other) => ({ host: other.ip, port: Number(other.port) }));
      this.#known = [sentinel, ...known, ...this.#named];
      return { host, port: Number(port) };
    } finally {
      client.destroy();
    }
  }
}
