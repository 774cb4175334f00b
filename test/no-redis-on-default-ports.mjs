/** Loaded into a server before it starts: the default ports refuse connections, also if a Redis or Sentinel is there. */
import { Socket } from "node:net";

const DEFAULT_PORTS = new Set([6379, 26_379]);
const CLOSED_PORT = 1;
const connect = Reflect.get(Socket.prototype, "connect");

/** @this {Socket} */
Socket.prototype.connect = function (/** @type {any[]} */ ...args) {
  const [options] = args.flat();
  if (DEFAULT_PORTS.has(options?.port)) options.port = CLOSED_PORT;
  return Reflect.apply(connect, this, args);
};
