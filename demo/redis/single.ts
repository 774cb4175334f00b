import { closeClients, connectClient } from "./client.ts";
import type { RedisConnection } from "./connection.ts";
import type { RedisAccess, RedisServer } from "./target.ts";

/** Connects to one Redis server. */
export async function connectSingle(server: RedisServer, access: RedisAccess): Promise<RedisConnection> {
  let lastError: unknown = new Error("the connection is closed");
  const client = await connectClient(server, access, (error) => (lastError = error));
  return {
    commands: client,
    clients: () => [client],
    problem: () => (client.isReady ? undefined : lastError),
    reconnect: () => connectSingle(server, access),
    close: () => closeClients([client], client.close()),
  };
}
