import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { killAtExit, type Lifetime } from "../child-process.ts";
import { reservedPort } from "../reserved-port.ts";
import { until } from "../wait.ts";

const START_LIMIT_MS = 120_000;

export interface ExampleProcess {
  child: ChildProcess;
  /** What it has printed so far. */
  output: () => string;
  /** Resolves to its URL when it listens. Rejects if it ends before. */
  listening: () => Promise<string>;
}

/** Starts an example, or another program, in a process of its own. It is killed at the end of the test. */
export async function startExample(
  t: Lifetime,
  file: string,
  environment: Record<string, string>,
  nodeOptions = ["--import", "tsx"],
): Promise<ExampleProcess> {
  const port = environment["PORT"] ?? String(await reservedPort());
  const path = fileURLToPath(new URL(file, new URL("../../examples/", import.meta.url)));
  const child = spawn(process.execPath, [...nodeOptions, path], {
    cwd: new URL("../..", import.meta.url),
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...environment, PORT: port },
    stdio: ["ignore", "pipe", "pipe"],
  });
  killAtExit(child);
  let hasEnded = false;
  const ended = once(child, "close").then(() => (hasEnded = true));
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
  const isListening = () => text.includes(`Listening on http://localhost:${port}\n`);
  return {
    child,
    output: () => text,
    async listening() {
      await until(() => hasEnded || isListening(), START_LIMIT_MS);
      if (!isListening()) throw new Error(`${file} does not listen: ${text}`);
      return `http://127.0.0.1:${port}`;
    },
  };
}

/** The URL of an example that listens, in a process of its own. */
export async function spawnExample(...args: Parameters<typeof startExample>): Promise<string> {
  return (await startExample(...args)).listening();
}
