/**
 * A load generator that uses less CPU than what it measures: plain sockets, requests prepared in advance, one under way
 * on each connection (no pipelining). Of a response it reads only the status and the length.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

export interface Load {
  requests: number;
  requestsPerSecond: number;
}

const HEAD_LIMIT = 2048; // bytes

/** Sends the requests in turn, over and over, for so many seconds. Rejects at a response that reports an error. */
export async function generateLoad(
  port: number,
  requests: Buffer[],
  connections: number,
  seconds: number,
): Promise<Load> {
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(port)));
  const start = performance.now();
  const end = start + seconds * 1000;
  let next = Math.floor(Math.random() * requests.length); // so that each round begins with other sessions
  let completed = 0;
  await Promise.all(sockets.map(sendUntilEnd));
  const elapsedSeconds = (performance.now() - start) / 1000;
  for (const socket of sockets) socket.destroy();
  return { requests: completed, requestsPerSecond: completed / elapsedSeconds };

  function sendUntilEnd(socket: Socket): Promise<void> {
    return new Promise((resolve, reject) => {
      let missing = 0; // bytes of the response still to come
      const send = () => {
        next = (next + 1) % requests.length;
        socket.write(requests[next] ?? "");
      };
      socket.on("data", (chunk: Buffer) => {
        try {
          missing = (missing || responseLength(chunk)) - chunk.length;
        } catch (error) {
          reject(error);
          socket.destroy();
          return;
        }
        if (missing > 0) return;
        completed += 1;
        if (performance.now() < end) send();
        else resolve();
      });
      socket.on("error", reject);
      socket.on("close", () => reject(new Error("the server closed a connection")));
      send();
    });
  }
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  return socket;
}

/** The bytes of head and body together. The head is short, so the first chunk contains it. */
function responseLength(chunk: Buffer): number {
  const head = chunk.toString("latin1", 0, HEAD_LIMIT);
  const status = head.slice(9, 12);
  const headEnd = head.indexOf("\r\n\r\n");
  const bodyLength = /content-length: (\d+)/i.exec(head)?.[1];
  if (!status.startsWith("2") || headEnd < 0 || bodyLength === undefined)
    throw new Error(`unexpected response: ${head}`);
  return headEnd + 4 + Number(bodyLength);
}
