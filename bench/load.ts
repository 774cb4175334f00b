/**
 * A load generator that costs less CPU than what it measures: plain sockets, requests made in advance, one under way
 * on each connection (no pipelining), and of an answer only the status and the length are read.
 */
import { connect, type Socket } from "node:net";
import { once } from "node:events";
import { byValue, percentile } from "./statistics.ts";

export interface Load {
  requestsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
  requests: number;
  /** What the generator itself cost: it must be less than what the server cost. */
  generatorUsPerRequest: number;
}

const LONGEST_HEAD = 2048; // bytes

/** Sends these requests in turn, over and over, for that long. An answer that is no success ends the measurement. */
export async function load(port: number, requests: Buffer[], connections: number, seconds: number): Promise<Load> {
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(port)));
  const latencies: number[] = [];
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  const end = start + seconds * 1000;
  let next = Math.floor(Math.random() * requests.length); // another round begins with other sessions

  await Promise.all(sockets.map(sendUntilTheEnd));

  const elapsedMs = performance.now() - start;
  const { user, system } = process.cpuUsage(cpuBefore);
  for (const socket of sockets) socket.destroy();
  const sorted = Float64Array.from(latencies).toSorted(byValue);
  return {
    requestsPerSecond: (sorted.length / elapsedMs) * 1000,
    p50Ms: percentile(sorted, 50),
    p99Ms: percentile(sorted, 99),
    requests: sorted.length,
    generatorUsPerRequest: (user + system) / sorted.length,
  };

  function sendUntilTheEnd(socket: Socket): Promise<void> {
    return new Promise((resolve, reject) => {
      let sentAt = 0;
      let missing = 0; // bytes of the answer that are still to come
      const send = () => {
        sentAt = performance.now();
        next = (next + 1) % requests.length;
        socket.write(requests[next] ?? "");
      };
      socket.on("data", (chunk: Buffer) => {
        try {
          missing = (missing || lengthOf(chunk)) - chunk.length;
        } catch (error) {
          reject(error);
          socket.destroy();
        }
        if (missing > 0) return;
        const now = performance.now();
        latencies.push(now - sentAt);
        if (now < end) send();
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

/** Of head and body together. The head comes whole, as it is short. */
function lengthOf(chunk: Buffer): number {
  const head = chunk.toString("latin1", 0, LONGEST_HEAD);
  const status = head.slice(9, 12);
  const headEnd = head.indexOf("\r\n\r\n");
  const bodyLength = /content-length: (\d+)/i.exec(head)?.[1];
  if (!/^[23]/.test(status) || headEnd < 0 || bodyLength === undefined) throw new Error(`unexpected answer: ${head}`);
  return headEnd + 4 + Number(bodyLength);
}
