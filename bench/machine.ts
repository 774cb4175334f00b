import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { findProgram } from "../demo/redis/find-program.mjs";

const TASKSET = cpus().length > 1 ? findProgram("taskset") : undefined;
const SAMPLE_MS = 1000;

/** Cores that other programs may use without disturbing the figures. */
export const BUSY_LIMIT = 0.1;

/** For the server under test, or for this process where the store in it is measured. */
export const MEASURED_CORE = "0";
/** For Redis, and for this process while it generates load. */
export const OTHER_CORE = "1";

/** Keeps a process, with all of its threads, on one core. Only Linux can; elsewhere all processes share all cores. */
export function pin(pid: number, core: string): void {
  if (TASKSET !== undefined) spawnSync(TASKSET, ["--all-tasks", "--cpu-list", "--pid", core, String(pid)]);
}

/** How many cores other programs use, taken over a second in which the benchmark does nothing. */
export async function coresBusy(): Promise<number> {
  const before = cpuTimes();
  await sleep(SAMPLE_MS);
  const after = cpuTimes();
  return ((after.busy - before.busy) / (after.all - before.all)) * cpus().length;
}

function cpuTimes(): { busy: number; all: number } {
  const times = cpus().map((cpu) => cpu.times);
  const idle = times.reduce((sum, time) => sum + time.idle, 0);
  const busy = times.reduce((sum, { user, nice, sys, irq }) => sum + user + nice + sys + irq, 0);
  return { busy, all: busy + idle };
}

/** CPU time that a process has used, all threads, in microseconds. NaN where there is no /proc. */
export function cpuTime(pid: number): number {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const nanoseconds = threads.map((thread) => Number(readSchedStat(pid, thread).split(" ")[0]));
    return nanoseconds.reduce((sum, time) => sum + time, 0) / 1000;
  } catch {
    return Number.NaN;
  }
}

const readSchedStat = (pid: number, thread: string) => readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8");

export function describeMachine(): string {
  return `${cpus().length} cores of ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
}
