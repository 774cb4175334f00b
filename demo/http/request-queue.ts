import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
}

interface Connection {
  readonly socket: Duplex;
  /** The request under way. */
  current: Exchange | undefined;
  readonly waiting: Exchange[];
  isPaused: boolean;
  /** What to do after the last reply. */
  afterwards: (() => void) | undefined;
}

/** Of all connections together, at about 1.5 KB each. Only clients that send requests ahead have any waiting. */
const MAX_WAITING = 2500;
/** The kernel takes several replies for a client that does not read. After that, the next one has to be taken by then. */
const UNREAD_LIMIT_MS = 5000;

/**
 * Handles the requests of one connection one at a time, each after the reply to the one before has been taken by the
 * client's socket. Node emits every pipelined request as soon as it is parsed: without this, a client could have
 * thousands handled at once, and a read could overtake the write that was sent before it.
 *
 * While requests wait, nothing more is read from their connection. Node parses what it has read in one piece, up to
 * 64 KB, so some thousand requests of one connection can wait.
 */
export class RequestQueue {
  readonly #handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
  readonly #connections = new WeakMap<Duplex, Connection>();
  #waitingCount = 0;

  constructor(handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>) {
    this.#handle = handle;
  }

  add(request: IncomingMessage, response: ServerResponse): void {
    const connection = this.#connectionOf(request.socket);
    const { socket, current, waiting } = connection;
    if (!socket.writable) return; // it was closed, and the rest of the piece is still being parsed
    if (current === undefined) {
      void this.#start(connection, { request, response });
      return;
    }
    stopReading(connection);
    waiting.push({ request, response });
    this.#waitingCount += 1;
    if (this.#waitingCount > MAX_WAITING) socket.destroy();
  }

  /** Whether the rest of a request may be late because nothing is read from its connection. */
  isHoldingBack(socket: Duplex): boolean {
    return this.#connectionOf(socket).waiting.length > 0;
  }

  /** Calls back after the replies to all complete requests of the connection: at once, if there are none. */
  afterReplies(socket: Duplex, callback: () => void): void {
    const connection = this.#connectionOf(socket);
    const { current, waiting } = connection;
    if (current === undefined || !current.request.complete) {
      callback();
      return;
    }
    if (waiting.at(-1)?.request.complete === false) {
      waiting.pop();
      this.#waitingCount -= 1;
    }
    connection.afterwards = callback;
  }

  #connectionOf(socket: Duplex): Connection {
    const known = this.#connections.get(socket);
    if (known !== undefined) return known;
    const connection = { socket, current: undefined, waiting: [], isPaused: false, afterwards: undefined };
    this.#connections.set(socket, connection);
    return connection;
  }

  async #start(connection: Connection, exchange: Exchange): Promise<void> {
    const { socket } = connection;
    const { request, response } = exchange;
    connection.current = exchange;
    response.on("close", () => this.#next(connection)); // the socket has taken the reply, or the connection is closed
    await this.#handle(request, response);
    if (socket.writableLength === 0) return;
    const overdue = setTimeout(() => socket.destroy(), UNREAD_LIMIT_MS);
    response.on("close", () => clearTimeout(overdue));
  }

  #next(connection: Connection): void {
    const { socket, waiting } = connection;
    const next = socket.writable ? waiting.shift() : undefined;
    if (next === undefined) {
      this.#end(connection);
      return;
    }
    this.#waitingCount -= 1;
    if (!next.request.complete) continueReading(connection); // the rest of its body
    // Other connections come first.
    setImmediate(() => void (socket.writable ? this.#start(connection, next) : this.#end(connection)));
  }

  #end(connection: Connection): void {
    const { waiting, afterwards } = connection;
    connection.current = undefined;
    this.#waitingCount -= waiting.length;
    waiting.length = 0;
    continueReading(connection);
    afterwards?.();
  }
}

/** Node resumes the connection by itself after each message, so it has to be paused again. */
function stopReading(connection: Connection): void {
  if (connection.isPaused) return;
  connection.isPaused = true;
  connection.socket.on("resume", pauseAgain).pause();
}

function continueReading(connection: Connection): void {
  if (!connection.isPaused) return;
  connection.isPaused = false;
  connection.socket.off("resume", pauseAgain).resume();
}

function pauseAgain(this: Duplex): void {
  this.pause();
}
