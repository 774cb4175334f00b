/** How everything here is measured: in rounds. Each round measures one thing after the other, so noise affects all alike. */
import { setTimeout as sleep } from "node:timers/promises";

export type Measure = () => Promise<number>;

/** Returns the values of each name, round by round. One more round comes first, to warm up, and is not counted. */
export async function measureInTurn(
  rounds: number,
  measures: Record<string, Measure>,
): Promise<(name: string) => number[]> {
  const values = new Map(Object.keys(measures).map((name) => [name, [] as number[]]));
  for (let round = 0; round <= rounds; round += 1) {
    for (const [name, measure] of Object.entries(measures)) {
      const value = await measure();
      if (round > 0) values.get(name)?.push(value);
    }
  }
  return (name) => values.get(name) ?? [];
}

export function median(values: number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** The median of the ratios of each round: what disturbs a round disturbs both sides of its ratio. */
export function medianRatio(values: number[], others: number[]): number {
  return median(values.map((value, round) => value / (others[round] ?? Number.NaN)));
}

const AT_ONCE = 64;

/** Runs an operation so many times, 64 at once, and returns the results in order. */
export async function repeat<Result>(count: number, run: (index: number) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  while (results.length < count) {
    const first = results.length;
    const size = Math.min(AT_ONCE, count - first);
    results.push(...(await Promise.all(Array.from({ length: size }, (_, index) => run(first + index)))));
  }
  return results;
}

/** What a store is to the reads of `readUntil`. */
interface Readable {
  getSession(id: string | undefined, options: { refreshTtl: boolean }): Promise<unknown>;
}

export interface Latencies {
  median: number;
  p99: number;
  longest: number;
}

/** Reads the sessions in turn, one at a time with a pause between two, and returns how many milliseconds it took. */
export async function readUntil(
  isOver: () => boolean,
  store: Readable,
  ids: string[],
  pauseMs: number,
): Promise<Latencies> {
  const latencies: number[] = [];
  for (; !isOver(); await sleep(pauseMs)) {
    const start = performance.now();
    await store.getSession(ids[latencies.length % ids.length], { refreshTtl: false });
    latencies.push(performance.now() - start);
  }
  latencies.sort((one, other) => one - other);
  const percentile = (share: number) => latencies[Math.floor(latencies.length * share)] ?? Number.NaN;
  return { median: percentile(0.5), p99: percentile(0.99), longest: latencies.at(-1) ?? Number.NaN };
}
