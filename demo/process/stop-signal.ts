import { watchParents } from "./parent-watch.ts";

const SAME_SIGNAL_MS = 500; // on Ctrl-C the terminal signals every process, and npm passes the same signal on
const STOP_LIMIT_MS = 4500; // the demo promises to exit within five seconds

/**
 * Returns a signal that is aborted when this process is asked to stop. If the process then takes too long, or is asked
 * again, it exits with code 1.
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
