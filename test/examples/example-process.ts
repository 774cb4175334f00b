import { spawn } from "node:child_process";
import { once } from "node:events";
import { killAtExit, type Lifetime } from "../child-process.ts";
import { reservedPort } from "../reserved-port.ts";

/** An example in a process of its own, listening. It is killed at the end of the test. */
export async function spawnExample(t: Lifetime, file: string, environment: Record<string, string>): Promise<string> {
  const port = await reservedPort();
  const child = spawn(process.execPath, ["--import", "tsx", `examples/${file}`], {
    cwd: new URL("../..", import.meta.url),
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], PORT: String(port), ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  killAtExit(child);
  const ended = once(child, "close");
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  while (!output.includes(`Listening on http://localhost:${port}\n`)) {
    if (child.exitCode !== null) throw new Error(`${file} ended: ${output}`);
    await Promise.race([once(child.stdout, "data"), ended]);
  }
  return `http://127.0.0.1:${port}`;
}
