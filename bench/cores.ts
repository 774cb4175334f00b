import { spawnSync } from "node:child_process";
import { cpus } from "node:os";
import { findProgram } from "../demo/redis/find-program.mjs";

const TASKSET = cpus().length > 1 ? findProgram("taskset") : undefined;

/** Whether what is measured has a core of its own. Only Linux lets us say so; elsewhere all share all cores. */
export const isPinned = TASKSET !== undefined;

/** Of what is measured: the server under test, or this process where that is the store's client. */
export const MEASURED = "0";
/** Of Redis, and of this process while it makes the load. */
export const OTHERS = "1";

/** Keeps a process, with all of its threads, on one core: requests a second then tell what one core serves. */
export function pin(pid: number, core: string): void {
  if (TASKSET !== undefined) spawnSync(TASKSET, ["--all-tasks", "--cpu-list", "--pid", core, String(pid)]);
}
