import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { HttpError } from "./http-error.ts";

interface HostOptions {
  /** With a proxy in front, requests name the proxy's host. */
  acceptsAnyHost: boolean;
}

/**
 * Refuses a request that names no host (but for HTTP/1.0) or several. To a loopback address, also refuses one that names
 * a host on the internet.
 *
 * The last check prevents DNS rebinding: a browser loads a page from evil.example, whose owner then lets this name resolve
 * to 127.0.0.1. For the browser, the page and this server are now the same origin. So the page could log in under any
 * name, because the demo asks for no password, read every reply, and end that user's sessions. Its requests always have
 * `Host: evil.example`. Therefore a request to a loopback address must name an IP address, `localhost`, or a name
 * without a dot, because no such name is in public DNS.
 *
 * With `--secure-cookie` any host is accepted, because a proxy that terminates TLS passes on its own host name. A page on
 * http://evil.example cannot have a session then: the browser keeps no `Secure` cookie that came over plain HTTP.
 */
export function assertHost(request: IncomingMessage, { acceptsAnyHost }: HostOptions): void {
  const { headers, httpVersion, socket } = request;
  if (headers.host === undefined) {
    if (httpVersion === "1.0") return;
    throw new HttpError(400, "A request needs a Host header.");
  }
  if (headers.host.includes(",")) throw new HttpError(400, "A request needs one Host header; this one has more.");
  if (!acceptsAnyHost && isPublicName(headers.host) && isLoopback(socket.localAddress)) {
    throw new HttpError(
      421,
      "This server is only for this machine: open it as localhost. Behind a proxy, start it with --secure-cookie.",
    );
  }
}

const isLoopback = (address = "") => /^(::ffff:)?127\.|^::1$/.test(address);

/** Whether public DNS may have this name. Browsers resolve `localhost` and `*.localhost` to loopback by themselves. */
function isPublicName(host: string): boolean {
  if (!host.includes(".")) return false;
  const name = host
    .replace(/:\d*$/, "")
    .replaceAll(/^\[|[\].]$/g, "")
    .toLowerCase();
  return isIP(name) === 0 && name !== "localhost" && !name.endsWith(".localhost");
}
