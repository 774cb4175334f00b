import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { HttpError } from "./http-error.ts";

/**
 * Refuses a request that names no host or two of them, and, on loopback, one that names somebody else's.
 *
 * A page of evil.example may have its name resolve to 127.0.0.1 once it is loaded (DNS rebinding). For the browser it then
 * shares its origin with a server that listens on loopback, whose owner believes that nobody else can reach it: the page
 * could log in under any name, read every reply and end that user's sessions. Our cookie does not go along, as it
 * belongs to another name; but in the demo a name is enough. Such a page always sends its own name, so a request that
 * came in on a loopback address has to name an address, `localhost`, or a name that is in no public DNS, which has no dot.
 *
 * With `--secure-cookie` any host may be named: then a proxy that ends TLS passes its own on, and a page on
 * http://evil.example cannot hold a session, because its browser does not keep a `Secure` cookie.
 */
export function assertHost(request: IncomingMessage, isBehindProxy: boolean): void {
  const { headers, httpVersion, rawHeaders, socket } = request;
  if (headers.host === undefined) {
    if (httpVersion === "1.0") return;
    throw new HttpError(400, "A request needs a Host header.");
  }
  if (hasTwoHosts(rawHeaders)) throw new HttpError(400, "A request needs one Host header; this one has more.");
  if (!isBehindProxy && isLoopback(socket.localAddress) && isPublicName(headers.host)) {
    throw new HttpError(
      421,
      "This server is only for this machine: open it as localhost. Behind a proxy, start it with --secure-cookie.",
    );
  }
}

/** Node keeps the first of them in `headers`; a proxy may have gone by the other. */
function hasTwoHosts(rawHeaders: string[]): boolean {
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) if (rawHeaders[i]!.toLowerCase() === "host") hosts += 1;
  return hosts > 1;
}

const isLoopback = (address = "") => /^(::ffff:)?127\.|^::1$/.test(address);

/** Whether the host may be in public DNS. Browsers take `localhost` and the names below it for loopback themselves. */
function isPublicName(host: string): boolean {
  if (!host.includes(".")) return false;
  const name = host
    .replace(/:\d*$/, "")
    .replaceAll(/^\[|[\].]$/g, "")
    .toLowerCase();
  return isIP(name) === 0 && !name.endsWith(".localhost");
}
