/** Runs an operation so many times, a number of them at once, and returns the results in order. */
export async function repeat<Result>(
  count: number,
  atOnce: number,
  run: (index: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  while (results.length < count) {
    const size = Math.min(atOnce, count - results.length);
    const first = results.length;
    results.push(...(await Promise.all(Array.from({ length: size }, (_, index) => run(first + index)))));
  }
  return results;
}
