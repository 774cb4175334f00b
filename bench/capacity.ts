import type { Row } from "./table.ts";

const USERS = [100_000, 1_000_000];
const SECONDS_BETWEEN_REQUESTS = [60, 10];

/** What so many users take, from the CPU time of a read in Express and the memory of the largest number of sessions. */
export function capacity(readCost: { serverMicroseconds: number; redisMicroseconds: number }, growth: Row[]): Row[] {
  const bytes = Number(growth.at(-1)?.["bytes each"]);
  return USERS.flatMap((users) =>
    SECONDS_BETWEEN_REQUESTS.map((seconds) => {
      const requestsPerSecond = users / seconds;
      return {
        users: users,
        "a request every": `${seconds} s`,
        "requests a second": requestsPerSecond,
        "cores for Express": (requestsPerSecond * readCost.serverMicroseconds) / 1e6,
        "cores for Redis": (requestsPerSecond * readCost.redisMicroseconds) / 1e6,
        "memory, MB": (users * bytes) / 1e6,
      };
    }),
  );
}
