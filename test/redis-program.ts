import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProgram } from "../demo/redis/find-program.mjs";
import type { Lifetime } from "./child-process.ts";

export const REDIS_PROGRAM = findProgram("redis-server", "valkey-server")!;

/** A `PATH` on which `redis-server` is this shell script. */
export async function pathWithRedisServer(t: Lifetime, script: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "test-redis-server-"));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "redis-server"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return `${folder}:${process.env["PATH"]}`;
}
