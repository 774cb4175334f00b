import { replyCode } from "./describe-error.ts";
import { connectClient, connectSingle, type RedisAccess, type RedisConnection, type RedisServer } from "./single.ts";
import { TIME_LIMITS, withTimeLimit } from "./time-limits.ts";

const NO_REPLY = `no reply of the Sentinel within ${TIME_LIMITS.pingReplyMs} ms`;

/**
 * The master that the Sentinels name, until they name another one.
 *
 * node-redis has a client for this (`createSentinel`), but there every command waits while a Sentinel that hangs is asked.
 * One of three Sentinels was stopped, and a command was sent to the healthy master every 20 ms for 15 seconds: 701 of 725
 * had no reply 15 seconds later (node-redis 6.3.1, `scanInterval: 1000`). Here all had one, the slowest after 151 ms.
 */
export async function connectSentinel(sentinels: Sentinels, access: RedisAccess): Promise<RedisConnection> {
  const master = await sentinels.findMaster();
  const connection = await connectSingle(master, access);
  let replaced: Error | undefined;
  const following = setInterval(() => void follow(), TIME_LIMITS.sentinelEveryMs).unref();
  return {
    ...connection,
    problem: () => replaced ?? connection.problem(),
    reconnect: () => connectSentinel(sentinels, access),
    close() {
      clearInterval(following);
      return connection.close();
    },
  };

  /** A master that was replaced may go on replying, and what it is told from then on is lost. */
  async function follow(): Promise<void> {
    const named = await sentinels.findMaster().catch(() => master); // without Sentinels, the master may be well
    if (named.host === master.host && named.port === master.port) return;
    replaced = new Error("the Sentinels name another master");
    for (const client of connection.clients()) client.destroy();
  }
}

/** The Sentinels of one master. They know each other, so one is enough to begin with. */
export class Sentinels {
  readonly #masterName: string;
  readonly #first: RedisServer;
  readonly #access: RedisAccess;
  #known: RedisServer[];

  constructor(masterName: string, first: RedisServer, access: RedisAccess) {
    this.#masterName = masterName;
    this.#first = first;
    this.#access = access;
    this.#known = [first];
  }

  /** Asks one after the other, the one that replied last before the others. */
  async findMaster(): Promise<RedisServer> {
    let firstError: unknown;
    for (const sentinel of this.#known) {
      try {
        return await this.#ask(sentinel);
      } catch (error) {
        firstError ??= error;
      }
    }
    throw firstError;
  }

  /** A Sentinel that wants a password is given the master's. One that wants none would refuse it. */
  async #ask(sentinel: RedisServer): Promise<RedisServer> {
    const { isTls = false, username, password } = this.#access;
    try {
      return await this.#askAs(sentinel, { isTls });
    } catch (error) {
      if (replyCode(error) !== "NOAUTH" || password === undefined) throw error;
      return this.#askAs(sentinel, { isTls, username, password });
    }
  }

  async #askAs(sentinel: RedisServer, access: RedisAccess): Promise<RedisServer> {
    const client = await connectClient(sentinel, access);
    try {
      const replies = Promise.all([
        client.sendCommand<[string, string]>(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", this.#masterName]),
        client.sendCommand<{ ip: string; port: string }[]>(["SENTINEL", "SENTINELS", this.#masterName]),
      ]);
      const [[host, port], others] = await withTimeLimit(TIME_LIMITS.pingReplyMs, NO_REPLY, replies);
      const known = others.map((other) => ({ host: other.ip, port: Number(other.port) }));
      this.#known = [sentinel, ...known, this.#first];
      return { host, port: Number(port) };
    } finally {
      client.destroy();
    }
  }
}
