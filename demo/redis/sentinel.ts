import { setTimeout as sleep } from "node:timers/promises";
import { createClient, ErrorReply } from "redis";
import { clientOf, type Connection, type Link, type Listeners, type Server, type ServerOptions } from "./single.ts";

const ASK_EVERY_MS = 1000;

/**
 * The master that the Sentinels call by this name, followed to wherever it moves. User, password and database are the
 * master's. node-redis has a client for this too; but with that, every command waits while a Sentinel that hangs is
 * being asked, however well the master is.
 */
export function masterOf(name: string, seed: Server, options: ServerOptions, listeners: Listeners): Connection {
  const socket = { ...options.socket, reconnectStrategy: () => false as const }; // the Sentinels are asked first
  let sentinels = [seed];
  let areLocked = false;
  let address = seed;
  let client = newClient();
  const closing = new AbortController();

  const link: Link = {
    get isOpen() {
      return client.isOpen;
    },
    get isReady() {
      return client.isReady;
    },
    connect: connectToMaster,
    destroy: () => client.destroy(),
    ping: () => client.ping(),
  };
  return {
    commands: {
      evalSha: (sha1, input) => client.evalSha(sha1, input),
      eval: (script, input) => client.eval(script, input),
      pTTL: (key) => client.pTTL(key),
      ping: () => client.ping(),
    },
    links: () => [link],
    async connect() {
      await connectToMaster();
      void follow();
    },
    async close() {
      closing.abort();
      await client.close();
    },
    destroy() {
      closing.abort();
      client.destroy();
    },
  };

  function newClient() {
    return clientOf(address, { ...options, socket }, listeners);
  }

  async function connectToMaster(): Promise<void> {
    try {
      address = await findMaster();
    } catch (error) {
      listeners.failed(error);
      throw error;
    }
    closing.signal.throwIfAborted();
    client = newClient();
    await client.connect();
  }

  /** A master that has lost its office may go on answering. It is left as soon as a Sentinel names another one. */
  async function follow(): Promise<void> {
    while (!closing.signal.aborted) {
      await sleep(ASK_EVERY_MS, undefined, { ref: false });
      const { host, port } = await findMaster().catch(() => address); // Sentinels may be down: the master need not be
      if (host !== address.host || port !== address.port) client.destroy();
    }
  }

  async function findMaster(): Promise<Server> {
    const failures: unknown[] = [];
    for (const sentinel of sentinels) {
      try {
        return await askSentinel(sentinel);
      } catch (error) {
        failures.push(error);
      }
    }
    throw failures.at(-1);
  }

  /** Sentinels that want a password are taken to have the master's; others may not know the master's user. */
  async function askSentinel(sentinel: Server): Promise<Server> {
    try {
      return await ask(sentinel);
    } catch (error) {
      const isLocked = error instanceof ErrorReply && error.message.startsWith("NOAUTH");
      if (!isLocked || areLocked) throw error;
      areLocked = true;
      return ask(sentinel);
    }
  }

  /** The Sentinels know each other: those that answered last are asked first the next time. */
  async function ask(sentinel: Server): Promise<Server> {
    const asking = createClient({ ...(areLocked && options), database: 0, socket: { ...socket, ...sentinel } });
    asking.on("error", () => {}); // connect() rejects too
    try {
      await asking.connect();
      const [master, others] = await Promise.all([
        asking.sendCommand<[string, string]>(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name]),
        asking.sendCommand<{ ip: string; port: string }[]>(["SENTINEL", "SENTINELS", name]),
      ]);
      const known = others.map(({ ip, port }) => ({ host: ip, port: Number(port) }));
      sentinels = [sentinel, ...known, seed];
      return { host: master[0], port: Number(master[1]) };
    } finally {
      asking.destroy();
    }
  }
}
