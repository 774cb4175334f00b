/**
 * A chat whose connections end with their session: WebSockets, and an event stream for whoever only reads. In Express 5,
 * with a Redis at localhost:6379 or at REDIS_URL:
 *
 *     npx tsx examples/chat.ts
 *
 * It needs the packages `redis`, `express` and `ws`.
 */
import { createServer, type IncomingMessage, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import express, { type NextFunction, type Request, type Response } from "express";
import { type WebSocket, WebSocketServer } from "ws";
import { connectRedis } from "../redis-connection/index.ts";
import { headerJar, isCrossSite, RequestSession, SessionCookie } from "../session-cookie.ts";
import { SessionWatch } from "../session-watch.ts";
import { UserSessions } from "../user-sessions.ts";

const { PORT = "3000", REDIS_URL = "redis://localhost:6379", NODE_ENV } = process.env;
const SESSION_ENDED = 4401; // close codes from 4000 are the application's own
const MAX_MESSAGE_BYTES = 1000;
const MAX_UNREAD_BYTES = 1_000_000; // a client that does not read is disconnected

// Waits until Redis is there, and logs each outage.
const redis = await connectRedis({ url: REDIS_URL }, { ifUnavailable: "wait" });

const store = new UserSessions({ redis, fields: { username: String } });
const cookie = new SessionCookie({ secure: NODE_ENV === "production" }); // production means HTTPS
const watch = new SessionWatch(store, { everyMs: 1000 });

/** The functions that send a message to one client. */
const clients = new Set<(message: string) => void>();

class HttpError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const app = express();
app.use((request, response, next) => {
  response.set("Cache-Control", "no-store");
  if (request.method === "POST" && isCrossSite(request.headers)) throw new HttpError(403, "Sent by another site.");
  next();
});
app.use(express.urlencoded({ extended: false }));

app.get("/", (_request, response) => response.sendFile(fileURLToPath(new URL("chat.html", import.meta.url))));

app.post("/login", async (request, response) => {
  const username = authenticate(request.body as Record<string, unknown> | undefined);
  await sessionOf(request, response).logIn({ username }, { user: username });
  response.json({ username });
});

/** Ends the connections of all tabs that have this session. */
app.post("/logout", async (request, response) => {
  await sessionOf(request, response).logOut();
  response.json({ username: null });
});

/** Ends the connections of all devices of this user. */
app.post("/logout-everywhere", async (request, response) => {
  const { id, username } = await requireUser(request);
  const ended = await store.endSessions(username, { except: id });
  await sessionOf(request, response).logOut();
  response.json({ ended: ended + 1 });
});

/** The messages as an event stream. */
app.get("/events", async (request, response) => {
  const { id } = await requireUser(request);
  if (response.closed) return; // meanwhile: there will be no "close" event
  response.set({ "Content-Type": "text/event-stream", "X-Accel-Buffering": "no" }).flushHeaders();
  const send = (message: string) => {
    response.write(`data: ${message}\n\n`);
    if (response.writableLength > MAX_UNREAD_BYTES) response.destroy();
  };
  const remove = watch.add(id, () => {
    clients.delete(send); // what is written after the end is an "error" event, which would end the process
    response.end("event: ended\ndata:\n\n");
  });
  clients.add(send);
  response.on("close", () => {
    clients.delete(send);
    remove();
  });
});

app.use((error: unknown, _request: Request, response: Response, next: NextFunction) => {
  const { status, message } = describe(error);
  if (status === 500) next(error);
  else response.status(status).json({ error: message });
});

const server = createServer(app);
const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES });

/** Checks the session and, because a page of another site may open a WebSocket to any host, the origin. */
server.on("upgrade", (request, socket, head) => {
  const refuse = (error: unknown) => {
    const { status } = describe(error);
    socket.once("finish", () => socket.destroy()); // the client may never close its side
    socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n\r\n`);
  };
  socket.on("error", () => socket.destroy());
  void upgrade(request, socket, head).catch(refuse);
});

async function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
  if (isCrossSite(request.headers)) throw new HttpError(403, "Sent by another site.");
  const { id, username } = await requireUser(request);
  sockets.handleUpgrade(request, socket, head, (webSocket) => chat(webSocket, id, username));
}

function chat(socket: WebSocket, id: string, username: string): void {
  const send = (message: string) => {
    socket.send(message);
    if (socket.bufferedAmount > MAX_UNREAD_BYTES) socket.terminate();
  };
  const remove = watch.add(id, () => socket.close(SESSION_ENDED, "Session ended"));
  clients.add(send);
  socket.on("message", (data: Buffer) => {
    // Reading the session counts as use, and refuses a message if the session has ended.
    const isAlive = store.getSession(id).then((session) => session !== null);
    isAlive.then(
      (alive) => alive && broadcast(`${username}: ${data.toString()}`),
      () => socket.close(1013, "Try again later"), // Redis is unavailable
    );
  });
  socket.on("error", () => {}); // a message that is too long, for example; "close" follows
  socket.on("close", () => {
    clients.delete(send);
    remove();
  });
}

function broadcast(message: string): void {
  const line = message.replaceAll(/[\r\n]+/g, " ");
  for (const send of clients) send(line);
}

server.listen(Number(PORT), () => console.log(`Listening on http://localhost:${PORT}`));

/** Closes all connections, to browsers and to Redis. Then the process ends by itself. */
function stop() {
  watch.close();
  for (const socket of sockets.clients) socket.close(1001, "The server stops");
  server.close(() => void redis.close());
  setTimeout(() => {
    for (const socket of sockets.clients) socket.terminate(); // some do not reply to a close
    server.closeAllConnections();
  }, 1000).unref();
}
process.once("SIGTERM", stop).once("SIGINT", stop);

function sessionOf(request: Request, response: Response) {
  const jar = headerJar(request.headers.cookie, (setCookie) => response.append("Set-Cookie", setCookie));
  return new RequestSession(store, cookie, jar);
}

async function requireUser({ headers }: IncomingMessage) {
  const id = cookie.read(headers.cookie);
  const username = (await store.getSession(id))?.username;
  if (id === undefined || username === undefined) throw new HttpError(401, "Log in first.");
  return { id, username };
}

/** Returns the name of the user. Replace this with your own check of the password against its hash. */
function authenticate({ username, password }: Record<string, unknown> = {}): string {
  if (typeof username === "string" && /^\w{1,40}$/.test(username) && password === "secret") return username;
  throw new HttpError(401, "Wrong username or password.");
}

function describe(error: unknown) {
  const { code, status = 500, message = "" } = error as Partial<HttpError & { code: string }>;
  if (code === "REDIS_UNAVAILABLE") return { status: 503, message: "Try again shortly." };
  if (code === "SESSION_REVOKED") return { status: 409, message: "Log in again." };
  return { status, message };
}
