import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { onClientError } from "./client-error.ts";
import { SECURITY_HEADERS } from "./headers.ts";
import type { Reply } from "./reply.ts";
import { createSequentialServer } from "./sequential-server.ts";

/** `response` is for a `100 Continue` only: the server sends the reply that is returned. */
export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => Promise<Reply>;

/** For slow and silent clients, in milliseconds. */
const TIME_LIMITS = {
  headersTimeout: 5000,
  requestTimeout: 10_000,
  connectionsCheckingInterval: 1000,
};
/** How long a client may go on sending its request after our reply. Some read the reply only when all is sent. */
const REQUEST_END_LIMIT_MS = 1000;
/** How long a reply may wait for a client that does not read. The buffers of the operating system take the first ones. */
const UNREAD_LIMIT_MS = 5000;

/**
 * An HTTP server that does not listen yet. Once `stopping` is aborted, a reply is the last one of its connection. `handle`
 * should return a reply for every error too; if it rejects, the connection is closed.
 */
export function createHttpServer(handle: RequestHandler, stopping: AbortSignal): Server {
  // Node would refuse a request without a Host by itself, without the headers that every reply has.
  // And of two Host headers it would show the first one, but a proxy in front may have used the second one.
  const options = { ...TIME_LIMITS, requireHostHeader: false, joinDuplicateHeaders: true };
  return createSequentialServer(options, respond).on("clientError", onClientError);

  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      send(await handle(request, response), request, response);
    } catch (error) {
      console.error("A reply could not be sent:", error);
      response.destroy();
    }
  }

  function send({ status, headers, body }: Reply, request: IncomingMessage, response: ServerResponse): void {
    const rawHeaders = ["Content-Length", String(Buffer.byteLength(body))];
    for (const header of [...SECURITY_HEADERS, ...headers]) rawHeaders.push(...header); // flat() takes 1 µs longer
    if (stopping.aborted) rawHeaders.push("Connection", "close");
    response.writeHead(status, rawHeaders);
    if (request.complete) response.end(body);
    else endAfterRequest(request, response, body);
    const isTaken = request.socket.writableLength === 0; // by the operating system
    if (!isTaken) closeIfUnread(response);
  }
}

/**
 * Sends a reply, and ends it only after the rest of the request. Otherwise Node could close the connection while the client
 * sends, and the client would get an error in place of the reply.
 */
function endAfterRequest(request: IncomingMessage, response: ServerResponse, body: Reply["body"]): void {
  response.flushHeaders(); // for a HEAD, which has no body to write
  response.write(body);
  request.on("end", () => response.end()).resume();
  setTimeout(() => request.complete || request.destroy(), REQUEST_END_LIMIT_MS).unref();
}

function closeIfUnread(response: ServerResponse): void {
  const timer = setTimeout(() => response.destroy(), UNREAD_LIMIT_MS);
  response.on("close", () => clearTimeout(timer));
}
