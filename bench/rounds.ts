import { setTimeout as sleep } from "node:timers/promises";

type Measure = () => Promise<number>;

/** Measures one thing after the other, round after round, and returns the values of each. An extra round warms up. */
export async function measureInTurn(rounds: number, measures: Measure[], { pauseMs = 0 } = {}): Promise<number[][]> {
  const values = measures.map((): number[] => []);
  for (let round = 0; round <= rounds; round += 1) {
    if (pauseMs > 0) await sleep(pauseMs);
    for (const [index, measure] of measures.entries()) {
      const value = await measure();
      if (round > 0) values[index]?.push(value);
    }
  }
  return values;
}
