import { closeClients, connectClient } from "./client.ts";
import type { OpenConnection } from "./open-connection.ts";
import type { RedisAccess, RedisServer } from "./target.ts";

export async function connectSingle(
  server: RedisServer,
  access: RedisAccess,
  signal: AbortSignal,
): Promise<OpenConnection> {
  // No error is made here: its stack would keep the connection that this one replaces, and so all that there ever were.
  let lastError: unknown;
  const client = await connectClient(server, access, signal, (error) => (lastError = error));
  return {
    commands: client,
    clients: () => [client],
    problem: () => (client.isReady ? undefined : (lastError ?? new Error("the connection is closed"))),
    reconnect: (nextSignal) => connectSingle(server, access, nextSignal),
    close: () => closeClients([client], client.close()),
  };
}
