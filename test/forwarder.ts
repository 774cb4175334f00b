import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { Lifetime } from "./child-process.ts";

/** One address in front of several servers, as a load balancer has it. A connection stays with the server it was made to. */
export interface Forwarder {
  port: number;
  /** The number of connections that were made so far. */
  accepted: () => number;
  /** Sends new connections to this port; without one, accepts them and forwards nothing. */
  sendTo: (port: number | undefined) => void;
  /** Forwards nothing more: open connections stay open, and new ones are accepted. */
  stall: () => void;
}

export async function openForwarder(t: Lifetime, to: number): Promise<Forwarder> {
  let target: number | undefined = to;
  let accepted = 0;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    accepted += 1;
    track(near);
    if (target === undefined) return;
    const far = track(connect(target, "127.0.0.1"));
    near.pipe(far).pipe(near);
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return {
    port: (server.address() as AddressInfo).port,
    accepted: () => accepted,
    sendTo: (port) => (target = port),
    stall() {
      target = undefined;
      for (const socket of sockets) socket.unpipe().pause();
    },
  };

  function track(socket: Socket): Socket {
    sockets.add(socket);
    return socket.on("error", () => {}).on("close", () => sockets.delete(socket));
  }
}
