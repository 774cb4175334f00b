/** Loaded into a server before it starts: port 6379 refuses connections, also on a machine where a Redis listens there. */
import { Socket } from "node:net";

const CLOSED_PORT = 1;
const connect = Reflect.get(Socket.prototype, "connect");

/** @this {Socket} */
Socket.prototype.connect = function (/** @type {any[]} */ ...args) {
  const [options] = args.flat();
  if (options?.port === 6379) options.port = CLOSED_PORT;
  return Reflect.apply(connect, this, args);
};
