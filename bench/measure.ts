/** How everything here is measured: in rounds. Each round measures one thing after the other, so noise affects all alike. */

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
