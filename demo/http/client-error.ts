import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { type Header, SECURITY_HEADERS } from "./headers.ts";
import { jsonReply } from "./reply.ts";

/** How long the client may take to close its side after the reply. */
const CLOSE_LIMIT_MS = 1000;

/**
 * Replies to data that is not an HTTP request, or to a request that was not complete in time. Node has no response object
 * for these, so this writes the whole reply to the socket.
 */
export function onClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const { status, sentence } = describe(error);
  const { headers, body } = jsonReply({ error: sentence }, status);
  const length: Header = ["Content-Length", String(body.length)];
  const lines = [...SECURITY_HEADERS, ...headers, length, ["Connection", "close"]]
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("");
  setTimeout(() => socket.destroy(), CLOSE_LIMIT_MS).unref();
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines}\r\n${body.toString()}`);
}

function describe({ code }: NodeJS.ErrnoException) {
  if (code === "HPE_HEADER_OVERFLOW") return { status: 431, sentence: "The headers are too large." };
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return { status: 408, sentence: "The request was not complete in time." };
  return { status: 400, sentence: "The request is not valid HTTP." };
}
