/** How much is measured: the more rounds, the less noise. */
export type Plan = typeof FULL;

export const FULL = {
  requests: { rounds: 7, secondsPerRound: 1, sessions: 1000 },
  operations: { roundsOfHundred: 30, roundsOfTenThousand: 15 },
  cpuCost: { rounds: 15, callsPerRound: 20_000 },
  memory: { sessions: 10_000 },
  watch: { connections: [0, 10_000], rounds: 3 },
  ending: { sessions: 20_000, rounds: 3 },
};

/** To see that it works. */
export const QUICK: Plan = {
  requests: { rounds: 1, secondsPerRound: 0.2, sessions: 100 },
  operations: { roundsOfHundred: 2, roundsOfTenThousand: 1 },
  cpuCost: { rounds: 3, callsPerRound: 5000 },
  memory: { sessions: 1000 },
  watch: { connections: [0, 10_000], rounds: 1 },
  ending: { sessions: 2000, rounds: 1 },
};
