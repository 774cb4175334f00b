/**
 * A load generator for the loopback interface: plain sockets, requests prepared in advance, one under way on each
 * connection. A request costs it 10 µs of CPU time, less than the fastest server here needs. autocannon needs 25 µs, as
 * much as Fastify with a session, and would slow down what it measures.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

const CONNECTIONS = 256;

/** Sends the requests in turn, over and over, and returns the requests a second. Rejects at a response that is no 2xx. */
export async function requestsPerSecond(port: number, requests: Buffer[], seconds: number): Promise<number> {
  const sockets = Array.from({ length: CONNECTIONS }, () => connect({ port, host: "127.0.0.1", noDelay: true }));
  await Promise.all(sockets.map((socket) => once(socket, "connect")));
  const start = performance.now();
  const end = start + seconds * 1000;
  let next = Math.floor(Math.random() * requests.length); // so that each round begins with another session
  let completed = 0;
  try {
    await Promise.all(sockets.map(sendUntilEnd));
    return (completed / (performance.now() - start)) * 1000;
  } finally {
    for (const socket of sockets) socket.destroy();
  }

  function sendUntilEnd(socket: Socket): Promise<void> {
    return new Promise((resolve, reject) => {
      let missing = 0; // bytes of the response still to come
      const send = () => {
        next = (next + 1) % requests.length;
        socket.write(requests[next] ?? "");
      };
      socket.on("data", (chunk: Buffer) => {
        missing = (missing || responseLength(chunk)) - chunk.length;
        if (missing > 0) return;
        if (missing === 0) completed += 1;
        else reject(new Error(`unexpected response: ${chunk.toString()}`));
        if (performance.now() < end) send();
        else resolve();
      });
      socket.on("error", reject);
      socket.on("close", () => reject(new Error("the server closed a connection")));
      send();
    });
  }
}

/** The bytes of head and body together; NaN if the response reports an error. The first chunk contains the whole head. */
function responseLength(chunk: Buffer): number {
  const head = /^HTTP\/1.1 2.*?content-length: (\d+).*?\r\n\r\n/is.exec(chunk.toString("latin1"));
  return head ? head[0].length + Number(head[1]) : Number.NaN;
}
