import { setTimeout as sleep } from "node:timers/promises";
import type { RedisClientType } from "redis";
import { connectCluster } from "./cluster.ts";
import { describeError, isRefusal, RedisConnectionError, replyCode, withoutSecrets } from "./errors.ts";
import type { OpenConnection, RedisCommands, ScriptInput } from "./open-connection.ts";
import { ProblemLog, type Refusal } from "./problem-log.ts";
import { connectSentinel, Sentinels } from "./sentinel.ts";
import { findServerProblem, type ServerProblem } from "./server-check.ts";
import { connectSingle } from "./single.ts";
import type { ResolvedTarget } from "./target.ts";
import { REDIS_TIME_LIMITS, withTimeLimit } from "./time-limits.ts";

const NO_REPLY = `no reply within ${REDIS_TIME_LIMITS.checkReplyMs} ms`;

/** Error replies that do not mean trouble: the script is not cached, or the value is not what the command expects. */
const IS_ABOUT_DATA = /^NOSCRIPT |not an integer|not a valid float|out of range|would overflow/;

/**
 * The connection in use, and a watchdog that replaces it as soon as it cannot serve every session. node-redis reports a
 * connection that is closed. It does not notice a Redis that hangs, a machine that is gone or a server that has become a
 * replica, because such a connection stays open. So the watchdog asks every server again and again.
 *
 * node-redis' `socketTimeout` is no substitute. Whatever we send resets it, so under load it never fires; and it fires when
 * our own event loop was blocked, although the replies have arrived.
 */
export class RedisConnection implements RedisCommands {
  /** For people: host and port, without user and password. */
  readonly address: string;
  /**
   * Is called after each new connection: Redis may have been restarted, and then it has lost its scripts. What it throws is
   * an uncaught exception, like that of an event listener.
   */
  onReconnect: () => void = () => {};
  readonly #secrets: string[];
  readonly #log: ProblemLog;
  /** Each command is sent on the connection that is in use when the command is called. */
  #open: OpenConnection;
  /** The problems that the last checks found. */
  readonly #problems = new WeakMap<RedisClientType, ServerProblem>();
  readonly #beingChecked = new Set<RedisClientType>();
  /** A command that was refused since the last check. */
  #refusal: Refusal | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isReplacing = false;
  readonly #closing = new AbortController();

  /** `connectRedis` calls this, and then `start`. */
  constructor(target: ResolvedTarget, log: (line: string) => void) {
    this.address = target.address;
    this.#secrets = [target.access.password ?? ""];
    this.#log = new ProblemLog(log);
    this.#open = notConnected(target);
  }

  /** Runs a script that Redis has cached. Like every command, it is sent once. */
  evalSha(sha1: string, input: ScriptInput): Promise<unknown> {
    return this.#watchReply(this.#open.commands.evalSha(sha1, input), input.arguments[0], input.keys, input.arguments);
  }

  eval(script: string, input: ScriptInput): Promise<unknown> {
    return this.#watchReply(this.#open.commands.eval(script, input), input.arguments[0], input.keys, input.arguments);
  }

  hGetAll(key: string): Promise<Record<string, string>> {
    return this.#watchReply(this.#open.commands.hGetAll(key), "HGETALL", [key]);
  }

  hSet(key: string, fields: Record<string, string>): Promise<number> {
    return this.#watchReply(this.#open.commands.hSet(key, fields), "HSET", [key]);
  }

  get(key: string): Promise<string | null> {
    return this.#watchReply(this.#open.commands.get(key), "GET", [key]);
  }

  set(key: string, value: string, options: { PX: number }): Promise<unknown> {
    return this.#watchReply(this.#open.commands.set(key, value, options), "SET", [key]);
  }

  pExpire(key: string, ms: number): Promise<unknown> {
    return this.#watchReply(this.#open.commands.pExpire(key, ms), "PEXPIRE", [key]);
  }

  del(key: string): Promise<number> {
    return this.#watchReply(this.#open.commands.del(key), "DEL", [key]);
  }

  /** Finds keys, some at a time, on every master. A key may come twice. */
  async *scanIterator(options: { MATCH?: string; COUNT?: number } = {}): AsyncGenerator<string[]> {
    const problem = this.#open.problem();
    if (problem !== undefined) throw this.#toError(problem);
    for (const client of this.#open.clients()) yield* client.scanIterator(options);
  }

  /** Rejects with a `RedisConnectionError` unless every master replies and would accept a write. */
  async ping(): Promise<void> {
    const open = this.#open;
    try {
      const lost = open.problem();
      if (lost !== undefined) throw lost;
      const problems = await Promise.all(open.clients().map((client) => findServerProblem(client, true)));
      const problem = problems.find((each) => each !== undefined);
      if (problem !== undefined) throw new Error(problem.reason);
    } catch (error) {
      throw this.#toError(error);
    }
  }

  /** Waits for the replies to commands that were sent, for less than a second, and closes the connection. */
  async close(): Promise<void> {
    this.#closing.abort();
    clearInterval(this.#timer);
    await this.#open.close();
  }

  /** Connects, and starts the watchdog. `ifUnavailable`: see `RedisOptions`. */
  async start(ifUnavailable: "reject" | "wait" | "continue"): Promise<void> {
    for (;;) {
      try {
        await this.#replace();
        break;
      } catch (error) {
        if (ifUnavailable === "reject") throw this.#toError(error);
        this.#logLoss(error);
        if (ifUnavailable === "continue") break;
        await sleep(REDIS_TIME_LIMITS.retryMs);
      }
    }
    this.#timer = setInterval(() => this.#check(), REDIS_TIME_LIMITS.checkEveryMs).unref();
  }

  #check(): void {
    const refusal = this.#refusal;
    this.#refusal = undefined;
    const asked = this.#open
      .clients()
      .map((client) => this.#checkServer(client, refusal !== undefined || this.#problems.has(client)));
    if (refusal !== undefined) void this.#logRefusal(refusal, asked);
    const lost = this.#open.problem();
    const problem = this.#serverProblem();
    if (lost !== undefined) this.#logLoss(lost);
    else if (problem !== undefined) this.#log.unavailable(problem.reason, true);
    else this.#log.available();
    if (lost !== undefined || problem?.isReplica) void this.#tryToReplace(lost === undefined);
  }

  /**
   * Logs a refusal once every server was asked again, if none has a problem: then Redis refuses this command alone. A
   * problem that was found is logged by the next check instead.
   */
  async #logRefusal(refusal: Refusal, asked: Promise<boolean>[]): Promise<void> {
    const open = this.#open;
    const isKnown = (await Promise.all(asked)).every(Boolean);
    if (this.#closing.signal.aborted || this.#open !== open || open.problem() !== undefined) return;
    if (!isKnown) this.#refusal ??= refusal;
    else if (this.#serverProblem() === undefined) this.#log.refused(refusal);
  }

  /** One of the problems that the last checks found: that of a replica, if there is one. */
  #serverProblem(): ServerProblem | undefined {
    const problems = this.#open.clients().flatMap((client) => this.#problems.get(client) ?? []);
    return problems.find(({ isReplica }) => isReplica) ?? problems[0];
  }

  /** Returns `false` if the last check of the server is still under way: a server that hangs is not asked twice. */
  async #checkServer(client: RedisClientType, asksToWrite: boolean): Promise<boolean> {
    if (this.#beingChecked.has(client)) return false;
    this.#beingChecked.add(client);
    try {
      await this.#ask(client, asksToWrite);
    } catch (error) {
      if (!client.isReady) return true; // a closed connection is noticed by itself
      client.destroy(); // commands that wait on it fail now
      this.#logLoss(error);
      void this.#tryToReplace(false);
    } finally {
      this.#beingChecked.delete(client);
    }
    return true;
  }

  async #ask(client: RedisClientType, asksToWrite: boolean): Promise<ServerProblem | undefined> {
    const asking = findServerProblem(client, asksToWrite);
    const problem = await withTimeLimit(REDIS_TIME_LIMITS.checkReplyMs, NO_REPLY, asking);
    if (problem === undefined) this.#problems.delete(client);
    else this.#problems.set(client, problem);
    return problem;
  }

  async #tryToReplace(isConnected: boolean): Promise<void> {
    if (this.#isReplacing || this.#closing.signal.aborted) return;
    this.#isReplacing = true;
    await this.#replace().catch((error: unknown) => this.#logLoss(error));
    await sleep(isConnected ? REDIS_TIME_LIMITS.retryReplicaMs : REDIS_TIME_LIMITS.retryMs, undefined, { ref: false });
    this.#isReplacing = false;
  }

  /** A connection that can still be used for reads is kept until there is a better one. */
  async #replace(): Promise<void> {
    const next = await this.#open.reconnect(this.#closing.signal);
    try {
      const problems = await Promise.all(next.clients().map((client) => this.#ask(client, true)));
      const isNoBetter = problems.some((problem) => problem !== undefined) && this.#open.problem() === undefined;
      if (isNoBetter || this.#closing.signal.aborted) return await next.close();
    } catch (error) {
      await next.close();
      throw error;
    }
    const replaced = this.#open;
    this.#open = next;
    this.#refusal = undefined; // of the server that was left
    void replaced.close();
    queueMicrotask(() => this.onReconnect());
  }

  /** Notices if Redis refuses the command. The next check finds out whether it refuses this command alone. */
  #watchReply<Reply>(
    replying: Promise<Reply>,
    operation: string | undefined,
    keys: string[],
    args: string[] = [],
  ): Promise<Reply> {
    const open = this.#open;
    const accept = this.#log.isRefused ? () => this.#log.accepted(operation) : undefined;
    replying.then(accept, (error: unknown) => {
      const code = replyCode(error);
      if (code === undefined || this.#open !== open || IS_ABOUT_DATA.test(describeError(error))) return;
      const secrets = [...this.#secrets, ...[...keys, ...args].filter(isLong)];
      this.#refusal ??= { operation, code, reason: describeError(withoutSecrets(error, secrets)) };
    });
    return replying;
  }

  #logLoss(error: unknown): void {
    if (this.#closing.signal.aborted) return;
    const safe = withoutSecrets(error, this.#secrets);
    this.#log.unavailable(describeError(safe), isRefusal(safe));
  }

  #toError(error: unknown): RedisConnectionError {
    return new RedisConnectionError(this.address, withoutSecrets(error, this.#secrets));
  }
}

/** A shorter text, such as a number, may be part of another by chance. */
const isLong = (text: string) => text.length >= 8;

/** Before the first connection. */
function notConnected(target: ResolvedTarget): OpenConnection {
  const { kind, servers, access, masterName } = target;
  const [server] = servers as [ResolvedTarget["servers"][number]];
  const problem = new RedisConnectionError(target.address, new Error("there was no connection yet"));
  const reject = () => Promise.reject(problem);
  return {
    commands: {
      evalSha: reject,
      eval: reject,
      hGetAll: reject,
      hSet: reject,
      get: reject,
      set: reject,
      pExpire: reject,
      del: reject,
    },
    clients: () => [],
    problem: () => problem,
    reconnect(signal) {
      if (kind === "cluster") return connectCluster(servers, access, signal);
      if (kind === "sentinel") return connectSentinel(new Sentinels(masterName, servers, access), access, signal);
      return connectSingle(server, access, signal);
    },
    close: async () => {},
  };
}
