import { setTimeout as sleep } from "node:timers/promises";
import type { OutageLog } from "./outage-log.ts";
import type { Link } from "./single.ts";

const PING_EVERY_MS = 200;
const PING_LIMIT_MS = 700;
const BUSY_MS = 100;

/**
 * Gives a connection up when Redis leaves a PING unanswered: what waits on it fails, within a second, and a new
 * connection is tried, over and over. node-redis' own `socketTimeout` sees to an idle connection only, as it takes what
 * we send for a sign of life: under load, requests to a Redis that hangs would wait for as long as it hangs.
 */
export function watch(links: () => Link[], outages: OutageLog): { stop: () => void } {
  let isStopped = false;
  const underCheck = new Set<Link>();
  const timer = setInterval(() => {
    for (const link of links()) if (!underCheck.has(link)) void check(link);
  }, PING_EVERY_MS).unref();
  return {
    stop() {
      isStopped = true;
      clearInterval(timer);
    },
  };

  async function check(link: Link): Promise<void> {
    underCheck.add(link);
    try {
      if (link.isOpen) {
        if ((await comesInTime(link.ping())) || isStopped) return;
        outages.failed(`no answer to a PING within ${PING_LIMIT_MS} ms`);
        link.destroy();
      }
      await link.connect();
    } catch {
      // "error" tells of it, and the next check tries again
    } finally {
      underCheck.delete(link);
    }
  }
}

/** A timer that rings late tells of ourselves, who were too busy to listen: then the answer gets its time once more. */
async function comesInTime(answer: Promise<unknown>): Promise<boolean> {
  const start = performance.now();
  const came = answer.then(
    () => true,
    () => true,
  );
  if (await Promise.race([came, sleep(PING_LIMIT_MS, false, { ref: false })])) return true;
  return performance.now() - start > PING_LIMIT_MS + BUSY_MS && comesInTime(answer);
}
