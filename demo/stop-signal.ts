import { watchParents } from "./parent-watch.ts";

const SAME_SIGNAL_MS = 500; // on Ctrl-C the terminal signals every process, and npm passes the same signal on
const STOP_LIMIT_MS = 4500;

/**
 * Returns a signal that is aborted when this process is to stop. If it has not ended after a while, or if it is told to stop
 * a second time, it exits at once with code 1.
 */
export function createStopSignal(): AbortSignal {
  const stopping = new AbortController();
  let stoppedAt = 0;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const) process.on(signal, stop);
  watchParents(stop);
  return stopping.signal;

  function stop(): void {
    if (stopping.signal.aborted) {
      if (performance.now() - stoppedAt > SAME_SIGNAL_MS) process.exit(1);
      return;
    }
    stoppedAt = performance.now();
    setTimeout(() => process.exit(1), STOP_LIMIT_MS).unref();
    stopping.abort();
  }
}
