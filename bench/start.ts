import { connect } from "node:net";
import { once } from "node:events";
import { startServer } from "./process.ts";
import type { BenchRedis } from "./redis.ts";
import { median } from "./statistics.ts";

export interface StartResult {
  ourSeconds: number;
  bareSeconds: number;
  /** The median of the rounds' differences. */
  extraSeconds: number;
}

/** From the command to the first answer, as a user types it: `npx tsx …`. */
export async function measureStart(
  redis: BenchRedis,
  rounds: number,
  say: (line: string) => void,
): Promise<StartResult> {
  const ours: number[] = [];
  const bare: number[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    say(`start, round ${round} of ${rounds}`);
    ours.push(await secondsToAnswer(["server.ts", "--port", "0"], redis));
    bare.push(await secondsToAnswer(["bench/contenders/bare.ts"], redis));
  }
  const differences = ours.map((seconds, round) => seconds - (bare[round] ?? Number.NaN));
  return { ourSeconds: median(ours), bareSeconds: median(bare), extraSeconds: median(differences) };
}

async function secondsToAnswer(args: string[], redis: BenchRedis): Promise<number> {
  const start = performance.now();
  const server = await startServer("npx", ["tsx", ...args], { REDIS_URL: redis.url, npm_config_loglevel: "error" });
  const socket = connect(server.port, "127.0.0.1");
  socket.write("GET /session HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  await once(socket, "data");
  const seconds = (performance.now() - start) / 1000;
  socket.destroy();
  await server.stop();
  return seconds;
}
