import { watchLauncher } from "./launcher.ts";

const SAME_SIGNAL_MS = 500; // npm passes Ctrl-C on, though the terminal has sent it to every process
const STOP_LIMIT_MS = 4500;

/**
 * Aborted when this process is told to stop. Whatever hangs then, the process ends, as a failure: after a while, or at
 * once when it is told again.
 */
export function createStopSignal(): AbortSignal {
  const stopping = new AbortController();
  let toldAt = 0;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const) process.on(signal, stop);
  watchLauncher(stop);
  return stopping.signal;

  function stop(): void {
    if (stopping.signal.aborted) {
      if (performance.now() - toldAt > SAME_SIGNAL_MS) process.exit(1);
      return;
    }
    toldAt = performance.now();
    setTimeout(() => process.exit(1), STOP_LIMIT_MS).unref();
    stopping.abort();
  }
}
