/**
 * Closes live connections when their session ends. Copy this file together with `session-store.ts`.
 *
 *     const watch = new SessionWatch(store, { everyMs: 5000 });
 *
 *     const remove = watch.add(id, () => socket.close(4401, "Session ended"));
 *     socket.on("close", remove);
 *
 *     const newId = await watch.rotate(id, () => store.rotateSession(id));
 *
 * A WebSocket or an event stream outlives the request that opened it, and nothing tells it that the user has logged out.
 * So the watch peeks at the session of each open connection once in `everyMs`, which resets no idle timeout. While Redis
 * replies in time, a connection outlives its session by at most `everyMs` and the time limit of the store. While Redis is
 * unavailable, nothing is known and so nothing is ended; the first check after that decides.
 */

/** What the watch needs of a store. `RedisSessionStore` and `UserSessions` have it. */
export interface SessionReader {
  getSession(id: string | undefined, options: { refreshTtl: false }): Promise<object | null>;
}

export interface SessionWatchOptions {
  /** Milliseconds from one check of a session to the next, 100 or more. Default: 5000. */
  everyMs?: number;
  /**
   * Is called with what a callback threw or rejected with, and with an error of the store that is no
   * `RedisUnavailableError`. Default: the error is thrown as an uncaught exception, like that of a timer's callback.
   */
  onError?: (error: unknown) => void;
}

/** A session, and the connections that end with it. */
interface WatchedSession {
  readonly id: string | undefined;
  /** The turn in which it is checked. */
  readonly turn: Set<WatchedSession>;
  readonly connections: Set<Connection>;
  isChecking: boolean;
  /** Rotations under way. Meanwhile, a check may find neither the old ID nor the new one. */
  rotations: number;
}

interface Connection {
  /** Undefined once the connection was removed or ended. */
  session: WatchedSession | undefined;
  readonly onEnd: () => unknown;
}

const MAX_EVERY_MS = 2_147_483_647; // a longer timer fires at once
const MAX_TURNS = 500; // each session is checked in one of these turns, which are spread evenly over `everyMs`
const MIN_TURN_MS = 10; // from one turn to the next; if `everyMs` is short, there are fewer turns
const MAX_CHECKS_AT_ONCE = 100; // so that other requests get their turn on the connection to Redis

export class SessionWatch {
  readonly #store: SessionReader;
  readonly #onError: (error: unknown) => void;
  readonly #turnMs: number;
  readonly #turns: Set<WatchedSession>[];
  /** By ID, each session once, however many connections it has. */
  readonly #sessions = new Map<string | undefined, WatchedSession>();
  /** Sessions whose turn has come, in order. */
  readonly #due = new Set<WatchedSession>();
  #checksUnderWay = 0;
  #timer: NodeJS.Timeout | undefined;
  #startedAt = 0;
  #turnsTaken = 0;
  #isClosed = false;

  constructor(store: SessionReader, { everyMs = 5000, onError = throwUncaught }: SessionWatchOptions = {}) {
    if (!(Number.isInteger(everyMs) && everyMs >= 100 && everyMs <= MAX_EVERY_MS)) {
      const range = `a whole number of milliseconds from 100 to ${String(MAX_EVERY_MS)}`;
      throw new RangeError(`everyMs must be ${range}; got ${String(everyMs)}`);
    }
    this.#store = store;
    this.#onError = onError;
    const turns = Math.min(MAX_TURNS, Math.floor(everyMs / MIN_TURN_MS));
    this.#turnMs = everyMs / turns;
    this.#turns = Array.from({ length: turns }, () => new Set());
  }

  /**
   * Watches a connection, and returns the function that removes it: call that when the connection has closed. `onEnd` is
   * called once, when the session has ended for whatever reason; for an ID without a session, such as `undefined`, after
   * the first check. It is never called inside `add`. Two calls with the same arguments are two registrations.
   */
  add(id: string | undefined, onEnd: () => unknown): () => void {
    if (this.#isClosed) return () => {};
    const session = this.#sessionWith(id);
    const connection: Connection = { session, onEnd };
    session.connections.add(connection);
    return () => {
      const { session: current } = connection;
      if (current === undefined) return;
      connection.session = undefined;
      current.connections.delete(connection);
      this.#forgetIfUnused(current);
    };
  }

  /**
   * Calls a function that gives the session a new ID and returns that ID, and lets the connections of the session follow
   * it. Without this, a rotation ends them. Returns what the function returns. If that is `null`, or if the function
   * throws, the connections stay with the old ID, and the next check decides.
   */
  async rotate<NewId extends string | null | undefined>(
    id: string | undefined,
    rotateSession: () => Promise<NewId>,
  ): Promise<NewId> {
    if (this.#isClosed) return rotateSession();
    const session = this.#sessionWith(id);
    session.rotations += 1;
    try {
      const newId = await rotateSession();
      if (typeof newId === "string" && !this.#isClosed) this.#move(session, this.#sessionWith(newId));
      return newId;
    } finally {
      session.rotations -= 1;
      this.#forgetIfUnused(session);
    }
  }

  /** Forgets all connections. From then on, no callback is called, and `add` does nothing. */
  close(): void {
    this.#isClosed = true;
    for (const session of this.#sessions.values()) {
      for (const connection of session.connections) connection.session = undefined;
      session.connections.clear();
      this.#forget(session);
    }
  }

  #sessionWith(id: string | undefined): WatchedSession {
    const known = this.#sessions.get(id);
    if (known !== undefined) return known;
    if (this.#sessions.size === 0) this.#start();
    const turn = this.#turns.reduce((emptiest, each) => (each.size < emptiest.size ? each : emptiest));
    const session = { id, turn, connections: new Set<Connection>(), isChecking: false, rotations: 0 };
    this.#sessions.set(id, session);
    turn.add(session);
    return session;
  }

  #move(from: WatchedSession, to: WatchedSession): void {
    const connections = [...from.connections];
    from.connections.clear();
    for (const connection of connections) {
      connection.session = to;
      to.connections.add(connection);
    }
    this.#forgetIfUnused(to);
  }

  /** A session that is being checked or rotated is kept, so that it is never checked twice at the same time. */
  #forgetIfUnused(session: WatchedSession): void {
    if (session.connections.size === 0 && session.rotations === 0 && !session.isChecking) this.#forget(session);
  }

  #forget(session: WatchedSession): void {
    session.turn.delete(session);
    this.#due.delete(session);
    this.#sessions.delete(session.id);
    if (this.#sessions.size === 0) clearInterval(this.#timer);
  }

  #start(): void {
    this.#startedAt = performance.now();
    this.#turnsTaken = 0;
    this.#timer = setInterval(() => this.#takeTurns(), this.#turnMs).unref();
  }

  /** Timers fire late, above all if the event loop was blocked: then several turns are taken at once. */
  #takeTurns(): void {
    const turnsDue = Math.floor((performance.now() - this.#startedAt) / this.#turnMs);
    const count = Math.min(turnsDue - this.#turnsTaken, this.#turns.length);
    for (let turn = turnsDue - count; turn < turnsDue; turn += 1) {
      for (const session of this.#turns[turn % this.#turns.length] ?? []) this.#due.add(session);
    }
    this.#turnsTaken = turnsDue;
    this.#checkDue();
  }

  #checkDue(): void {
    for (const session of this.#due) {
      if (this.#checksUnderWay >= MAX_CHECKS_AT_ONCE) return;
      this.#due.delete(session);
      if (!session.isChecking && session.connections.size > 0) void this.#check(session);
    }
  }

  async #check(session: WatchedSession): Promise<void> {
    session.isChecking = true;
    this.#checksUnderWay += 1;
    try {
      const found = await this.#store.getSession(session.id, { refreshTtl: false });
      if (found === null && session.rotations === 0) this.#end(session);
    } catch (error) {
      const isUnavailable = error instanceof Error && "code" in error && error.code === "REDIS_UNAVAILABLE";
      if (!isUnavailable) this.#onError(error);
    } finally {
      session.isChecking = false;
      this.#checksUnderWay -= 1;
      this.#forgetIfUnused(session);
      this.#checkDue();
    }
  }

  #end(session: WatchedSession): void {
    const connections = [...session.connections];
    for (const connection of connections) {
      if (connection.session !== session) continue; // the callback of another connection has removed it
      connection.session = undefined;
      session.connections.delete(connection);
      void this.#call(connection.onEnd);
    }
  }

  async #call(onEnd: () => unknown): Promise<void> {
    try {
      await onEnd();
    } catch (error) {
      this.#onError(error);
    }
  }
}

function throwUncaught(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}
