import { setTimeout as sleep } from "node:timers/promises";
import type { RedisClientType } from "redis";
import type { RedisCommands, RedisConnection } from "./connection.ts";
import { REDIS_TIME_LIMITS, withTimeLimit } from "./time-limits.ts";

const NO_REPLY = `no reply to PING within ${REDIS_TIME_LIMITS.pingReplyMs} ms`;

/**
 * The connection in use, and a watchdog that replaces it as soon as it cannot serve every session. node-redis reports a
 * connection that is closed. It does not notice a Redis that hangs or a machine that is gone, because such a connection stays
 * open: therefore every server gets a PING again and again.
 *
 * node-redis' `socketTimeout` is no substitute. It starts again with whatever we send, so under load it never fires; and it
 * fires when our own event loop was blocked, although the replies have arrived.
 */
export class MonitoredConnection {
  /** Each command is sent on the connection that is in use when the command is called. */
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
  readonly #waitingForPing = new Set<RedisClientType>();
  #isReconnecting = false;
  #isClosed = false;

  constructor(connection: RedisConnection) {
    this.#connection = connection;
  }

  /**
   * Starts the watchdog. It calls `onFailure` when a PING has no reply, when the connection is lost, and when an attempt to
   * replace it fails.
   */
  watch(onFailure: (error: unknown) => void): void {
    this.#onFailure = onFailure;
    this.#timer = setInterval(() => this.#check(), REDIS_TIME_LIMITS.pingEveryMs).unref();
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
    if (this.#waitingForPing.has(client)) return;
    this.#waitingForPing.add(client);
    const reply = client.ping().catch(() => {}); // an error reply is a reply too; a closed connection is seen by problem()
    try {
      await withTimeLimit(REDIS_TIME_LIMITS.pingReplyMs, NO_REPLY, reply);
    } catch (error) {
      client.destroy(); // commands that wait on it fail now
      if (!this.#isClosed) await this.#reconnect(error);
    } finally {
      this.#waitingForPing.delete(client);
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
      await sleep(REDIS_TIME_LIMITS.retryMs, undefined, { ref: false });
    } finally {
      this.#isReconnecting = false;
    }
  }
}
