import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { findProgram } from "../demo/process/find-program.mjs";
import type { Lifetime } from "./child-process.ts";

const { REDIS_PROGRAM: NAMED = "" } = process.env;
const NAMES = NAMED === "" ? ["redis-server", "valkey-server"] : [NAMED.includes("/") ? resolve(NAMED) : NAMED];

/** The server to test with: the name or path in the environment variable of this name, else what is on the `PATH`. */
export const REDIS_PROGRAM = find(...NAMES);

/** The command-line client that belongs to it, or another. */
export const REDIS_CLI = find(
  join(dirname(REDIS_PROGRAM), basename(REDIS_PROGRAM).replace("-server", "-cli")),
  "redis-cli",
  "valkey-cli",
);

/** For a demo that starts a Redis of its own: a `PATH` on which `redis-server` is the server to test with. */
export const PATH = NAMED === "" ? process.env["PATH"] : pathThatBeginsWith(REDIS_PROGRAM);

/** A `PATH` on which `redis-server` is this shell script. */
export async function pathWithRedisServer(t: Lifetime, script: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "test-redis-server-"));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "redis-server"), scriptOf(script), { mode: 0o755 });
  return `${folder}:${PATH}`;
}

function pathThatBeginsWith(program: string): string {
  const folder = mkdtempSync(join(tmpdir(), "test-redis-program-"));
  process.once("exit", () => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "redis-server"), scriptOf(`exec '${program}' "$@"`), { mode: 0o755 });
  return `${folder}:${process.env["PATH"]}`;
}

function scriptOf(line: string): string {
  return `#!/bin/sh\n${line}\n`;
}

function find(...names: string[]): string {
  const path = findProgram(...names);
  if (path === undefined) throw new Error(`There is no ${names.join(" or ")}`);
  return path;
}
