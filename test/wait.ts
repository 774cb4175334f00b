import { setTimeout as sleep } from "node:timers/promises";

/** Guards against hanging. A failover alone takes some ten seconds, and twenty more if the Sentinels cannot agree at once. */
export const HANG_LIMIT_MS = 120_000;

/** How long a machine with twenty times the load may take for what takes a second. */
export const BUSY_SECOND_MS = 20_000;

/** Waits until the condition is true, and returns whether it became true within the limit. */
export async function until(isTrue: () => boolean | Promise<boolean>, limitMs = HANG_LIMIT_MS): Promise<boolean> {
  for (const end = Date.now() + limitMs; Date.now() < end; await sleep(20)) {
    if (await isTrue()) return true;
  }
  return isTrue();
}
