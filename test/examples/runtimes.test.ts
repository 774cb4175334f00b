import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { findProgram } from "../../demo/process/find-program.mjs";
import { spawnRedis } from "../redis-process.ts";

const PROGRAM = "test/examples/log-in-to-log-out.ts";
const LIMIT_MS = 60_000;

const redis = await spawnRedis({ after });
const stripsTypes = "typescript" in process.features && process.features.typescript !== false;

const runtimes: { name: string; path: string | undefined; args: string[] }[] = [
  { name: `Node ${process.version} with tsx`, path: process.execPath, args: ["--import", "tsx"] },
  { name: `Node ${process.version} without tsx`, path: stripsTypes ? process.execPath : undefined, args: [] },
  { name: "Bun", path: findProgram("bun"), args: [] },
  {
    name: "Deno",
    path: findProgram("deno"),
    args: ["run", "--quiet", "--allow-env", "--allow-net", "--allow-read", "--allow-sys"],
  },
];

for (const { name, path, args } of runtimes) {
  test(
    `a session runs from log-in to log-out on ${name}`,
    { skip: path === undefined && "not installed" },
    async () => {
      const env = {
        PATH: process.env["PATH"],
        HOME: process.env["HOME"],
        REDIS_URL: `redis://127.0.0.1:${redis.port}`,
      };
      const options = { env, timeout: LIMIT_MS };
      const { stdout } = await promisify(execFile)(path!, [...args, PROGRAM], options);
      assert.match(stdout, /All operations did what they should\./);
    },
  );
}
