import { once } from "node:events";
import { createServer } from "node:net";

const reservedPorts = new Set<number>();

/**
 * A free port that stays free while a server on it is down: it lies below the ports that the system gives to outgoing
 * connections.
 */
export async function reservedPort(): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (reservedPorts.has(port)) continue;
    reservedPorts.add(port);
    const server = createServer();
    try {
      await once(server.listen(port, "127.0.0.1"), "listening");
      await once(server.close(), "close");
      return port;
    } catch {} // in use
  }
  throw new Error("No port is free");
}
