import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from "node:http";
import type { Socket } from "node:net";

const CR = 13;
const LF = 10;
const BLANK_LINE = Buffer.from("\r\n\r\n");

/**
 * Creates an HTTP server that reads one request of a connection at a time: the next one after the reply has been handed to
 * the operating system.
 *
 * Node parses all that it has read of a connection, up to 64 KB, and emits every request in it at once. So a client that
 * sends requests without waiting for replies (pipelining) could have 2,100 of them handled at the same time, a read could
 * overtake the write before it, and 50 such clients that never read could fill the memory. A queue of the parsed requests
 * would keep the order, but not save the memory.
 *
 * Therefore this removes Node's own "data" listener, which passes the data to the HTTP parser, from each connection, and
 * calls it with pieces that contain the end of at most one request. While a request is being handled, what follows stays in
 * the socket, and a client that sends more has to wait. Node documents no such listener; tests of pipelining show that it
 * is there. It costs some 5 µs a request, because Node's parser then cannot read the socket by itself.
 */
export function createSequentialServer(options: ServerOptions, handle: RequestListener): Server {
  const readers = new WeakMap<Socket, ConnectionReader>();
  const onRequest: RequestListener = (request, response) => {
    readers.get(request.socket)?.start(request, response);
    handle(request, response);
  };
  const server = createServer(options, onRequest);
  // All headers, of which Node allows 16 KB. It would drop those after the first 1,000, a Content-Length too.
  server.maxHeadersCount = 0;
  return server
    .on("connection", (socket) => readers.set(socket, new ConnectionReader(socket)))
    .on("checkContinue", onRequest)
    .on("checkExpectation", onRequest);
}

class ConnectionReader {
  readonly #socket: Socket;
  readonly #parse: (data: Buffer) => void;
  /** The request under way, until its reply has been handed to the operating system. */
  #request: IncomingMessage | undefined;
  /** Bytes of a request body with a Content-Length that have not been parsed yet. */
  #bodyLeft = 0;
  /** Whether what follows the request under way is held back in the socket. */
  #isHolding = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    const [parse] = socket.listeners("data");
    this.#parse = (data) => parse?.call(socket, data);
    if (parse === undefined) return; // in a runtime whose HTTP server does not read through its sockets, such as Bun
    socket.removeListener("data", parse as () => void).on("data", (data) => this.#onData(data));
  }

  start(request: IncomingMessage, response: ServerResponse): void {
    this.#request = request;
    this.#bodyLeft = Number(request.headers["content-length"] ?? 0);
    response.on("close", this.#onReplySent);
  }

  #onData(data: Buffer): void {
    let start = 0;
    while (start < data.length && this.#canParse()) {
      const end = this.#endOfPiece(data, start);
      const isWhole = end - start === data.length; // as usual: one request arrived
      this.#parse(isWhole ? data : data.subarray(start, end));
      start = end;
    }
    if (start < data.length && this.#socket.writable) this.#hold(data.subarray(start));
  }

  #canParse(): boolean {
    if (this.#isHolding || this.#request?.complete) return false;
    // The socket is not writable after the last reply of the connection. Node pauses it while nobody reads a body.
    return this.#socket.writable && !this.#socket.isPaused();
  }

  /**
   * Where the piece that begins at `start` ends: behind the blank line that ends a request's headers, which may have begun
   * in the piece before, or behind the last byte of its body.
   */
  #endOfPiece(data: Buffer, start: number): number {
    if (this.#bodyLeft > 0) {
      const length = Math.min(this.#bodyLeft, data.length - start);
      this.#bodyLeft -= length;
      return start + length;
    }
    let end = start;
    while (data[end] === CR || data[end] === LF) end += 1;
    if (end > start) return end;
    const blankLine = data.indexOf(BLANK_LINE, start);
    return blankLine === -1 ? data.length : blankLine + BLANK_LINE.length;
  }

  #hold(data: Buffer): void {
    this.#socket.pause();
    this.#socket.unshift(data);
    if (this.#request?.complete) this.#isHolding = true;
  }

  // One function for all requests of the connection: one for each would cost time.
  readonly #onReplySent = (): void => {
    this.#request = undefined;
    if (this.#isHolding) setImmediate(this.#continue); // other connections come first
  };

  readonly #continue = (): void => {
    this.#isHolding = false;
    this.#socket.resume();
  };
}
