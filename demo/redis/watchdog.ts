import { setTimeout as sleep } from "node:timers/promises";
import type { RedisClientType } from "redis";
import type { RedisCommands, RedisConnection } from "./single.ts";
import { TIME_LIMITS, withTimeLimit } from "./time-limits.ts";

const NO_REPLY = `no reply to PING within ${TIME_LIMITS.pingReplyMs} ms`;

/**
 * A connection that is replaced by a new one as soon as it does not serve every session any more. node-redis tells when a
 * connection is closed. One to a Redis that hangs, or to a machine that is gone, stays open, so every server is sent a PING
 * again and again. (node-redis' `socketTimeout` does not do it: what we send counts as a sign of life, so under load it
 * never fires; and it does fire when our own event loop was blocked, while the replies lie there unread.)
 */
export class MonitoredConnection {
  /** Run on the connection that serves at the moment. */
  readonly commands: RedisCommands = {
    evalSha: (sha1, input) => this.#connection.commands.evalSha(sha1, input),
    eval: (script, input) => this.#connection.commands.eval(script, input),
    hGetAll: (key) => this.#connection.commands.hGetAll(key),
    hSet: (key, fields) => this.#connection.commands.hSet(key, fields),
    pExpire: (key, ms) => this.#connection.commands.pExpire(key, ms),
    del: (key) => this.#connection.commands.del(key),
  };
  #connection: RedisConnection;
  #onFailure: (error: unknown) => void = () => {};
  #timer: NodeJS.Timeout | undefined;
  readonly #pinged = new Set<RedisClientType>();
  #isReconnecting = false;
  #isClosed = false;

  constructor(connection: RedisConnection) {
    this.#connection = connection;
  }

  /** From now on. `onFailure` is called with each PING without a reply, each loss, and each attempt that fails. */
  watch(onFailure: (error: unknown) => void): void {
    this.#onFailure = onFailure;
    this.#timer = setInterval(() => this.#check(), TIME_LIMITS.pingEveryMs).unref();
  }

  /** Rejects unless every server replies. */
  async ping(): Promise<void> {
    const problem = this.#connection.problem();
    if (problem !== undefined) throw problem;
    await Promise.all(this.#connection.clients().map((client) => client.ping()));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    await this.#connection.close();
  }

  #check(): void {
    for (const client of this.#connection.clients()) void this.#ping(client);
    const problem = this.#connection.problem();
    if (problem !== undefined) void this.#reconnect(problem);
  }

  async #ping(client: RedisClientType): Promise<void> {
    if (this.#pinged.has(client)) return;
    this.#pinged.add(client);
    const reply = client.ping().catch(() => {}); // an error is a reply too, or the connection is closed
    try {
      await withTimeLimit(TIME_LIMITS.pingReplyMs, NO_REPLY, reply);
    } catch (error) {
      client.destroy(); // what waits on it fails now
      if (!this.#isClosed) await this.#reconnect(error);
    } finally {
      this.#pinged.delete(client);
    }
  }

  async #reconnect(problem: unknown): Promise<void> {
    this.#onFailure(problem);
    if (this.#isReconnecting) return;
    this.#isReconnecting = true;
    try {
      const lost = this.#connection;
      const next = await lost.reconnect();
      if (this.#isClosed) return await next.close();
      this.#connection = next;
      void lost.close();
    } catch (error) {
      if (!this.#isClosed) this.#onFailure(error);
      await sleep(TIME_LIMITS.retryMs, undefined, { ref: false });
    } finally {
      this.#isReconnecting = false;
    }
  }
}
