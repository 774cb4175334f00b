/** Stands between a client and Redis, on a port of its own, and breaks what passes as a network does. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

const DONE_MS = 200; // by then, Redis has done what it was sent

export class Proxy {
  readonly #server = createServer((socket) => this.#accept(socket));
  #port = 0;
  readonly #clients = new Set<Socket>();
  readonly #redisPort: number;
  /** The connection on which the latest operation was sent. */
  #busy: Socket | undefined;
  #mode: "pass" | "lose the next reply" = "pass";

  constructor(redisPort: number) {
    this.#redisPort = redisPort;
  }

  async listen(): Promise<number> {
    await once(this.#server.listen(this.#port, "127.0.0.1"), "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
    return this.#port;
  }

  /** The next command is done, but the connection ends in place of its reply. Resolves when that has happened. */
  async loseReply(): Promise<void> {
    this.#mode = "lose the next reply";
    await once(this.#server, "lost");
  }

  /** No byte passes on the connections there are; new ones work. Resolves to the milliseconds until the client gives up. */
  async freeze(limitMs: number): Promise<number> {
    const start = performance.now();
    const frozen = [...this.#clients];
    for (const client of frozen) client.emit("freeze");
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<number>((resolve) => (timer = setTimeout(() => resolve(Infinity), limitMs)));
    const closed = once(this.#busy!, "close").then(() => performance.now() - start);
    const time = await Promise.race([closed, limit]);
    clearTimeout(timer);
    for (const client of frozen) client.destroy();
    return time;
  }

  /** Ends all connections and refuses new ones, until `listen` is called again. */
  close(): void {
    this.#server.close();
    for (const client of this.#clients) client.destroy();
  }

  #accept(client: Socket): void {
    client.on("error", () => {});
    const redis = connect(this.#redisPort, "127.0.0.1");
    redis.on("error", () => client.destroy());
    this.#clients.add(client);
    let isFrozen = false;
    let isLost = false;
    client.on("freeze", () => (isFrozen = true));
    client.on("data", (data) => {
      if (isFrozen) return;
      redis.write(data);
      if (!/eval/i.test(String(data))) return;
      this.#busy = client;
      if (this.#mode !== "lose the next reply") return;
      this.#mode = "pass";
      isLost = true;
      setTimeout(() => {
        client.destroy();
        this.#server.emit("lost");
      }, DONE_MS);
    });
    redis.on("data", (data) => {
      if (!isFrozen && !isLost) client.write(data);
    });
    client.on("close", () => {
      this.#clients.delete(client);
      redis.destroy();
    });
    redis.on("close", () => client.destroy());
  }
}
