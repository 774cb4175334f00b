export const median = (values: number[]): number => percentile(values.toSorted(byValue), 50);

/** Of values that are sorted. */
export function percentile(sorted: ArrayLike<number>, percent: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? Number.NaN;
}

/** Round by round, so that what disturbed a round disturbed both sides of its ratio. */
export function medianRatio(values: number[], others: number[]): number {
  return median(values.map((value, round) => value / (others[round] ?? Number.NaN)));
}

export const byValue = (one: number, other: number): number => one - other;

/** With three significant digits: more would be noise. */
export const rounded = (value: number): number => (Number.isFinite(value) ? Number(value.toPrecision(3)) : Number.NaN);
