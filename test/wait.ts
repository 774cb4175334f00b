import { setTimeout as sleep } from "node:timers/promises";

/** Waits until the condition is true, and returns whether it became true within the limit. */
export async function until(isTrue: () => boolean | Promise<boolean>, limitMs = 20_000): Promise<boolean> {
  for (const end = Date.now() + limitMs; Date.now() < end; await sleep(20)) {
    if (await isTrue()) return true;
  }
  return isTrue();
}
