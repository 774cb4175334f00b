import type { RedisScripting } from "../../session-store.ts";

export class ConnectionLostError extends Error {
  override readonly message = "The connection is lost";
}

/** The connection of one process. It holds each command back until the scheduler lets it through. */
export class HeldConnection implements RedisScripting {
  readonly #redis: RedisScripting;
  readonly #held: { send: () => Promise<void>; fail: () => void }[] = [];
  #isLost = false;

  constructor(redis: RedisScripting) {
    this.#redis = redis;
  }

  evalSha(...command: Parameters<RedisScripting["evalSha"]>): Promise<unknown> {
    return this.hold(() => this.#redis.evalSha(...command));
  }

  eval(...command: Parameters<RedisScripting["eval"]>): Promise<unknown> {
    return this.hold(() => this.#redis.eval(...command));
  }

  hold(run: () => Promise<unknown>): Promise<unknown> {
    if (this.#isLost) return Promise.reject(new ConnectionLostError());
    return new Promise((resolve, reject) => {
      const send = () => run().then(resolve, reject);
      this.#held.push({ send, fail: () => reject(new ConnectionLostError()) });
    });
  }

  get held(): number {
    return this.#held.length;
  }

  release(index: number): Promise<void> {
    return this.#held.splice(index, 1)[0]!.send();
  }

  /** From now on nothing gets through: the process has crashed as far as Redis can tell. */
  lose(): void {
    this.#isLost = true;
    for (const { fail } of this.#held.splice(0)) fail();
  }
}

/** Does its work with commands of this connection, or with others that it holds back. */
export type Work = (connection: HeldConnection) => Promise<unknown>;

export interface Schedule {
  /** Which of the commands that are held back goes next. Returns its number, less than `count`. */
  choose: (count: number) => number;
  /** Called after each command. */
  afterEach?: () => Promise<void>;
  /** The process of this number crashes after so many commands, unless it is over by then. */
  crash?: { process: number; after: number; hasHappened?: boolean };
}

/** Runs the works at the same time, one command at a time, and returns the errors of those that failed. */
export async function runInterleaved(
  redis: RedisScripting,
  works: Work[],
  { choose, afterEach = async () => {}, crash }: Schedule,
): Promise<unknown[]> {
  const errors: unknown[] = [];
  let commandsLeft = crash?.after ?? Infinity;
  const processes = works.map((work) => {
    const connection = new HeldConnection(redis);
    const process = { connection, isOver: false };
    void work(connection)
      .catch((error: unknown) => errors.push(error))
      .finally(() => (process.isOver = true));
    return process;
  });
  try {
    await schedule();
  } finally {
    for (const { connection } of processes) connection.lose();
  }
  return errors;

  async function schedule(): Promise<void> {
    for (;;) {
      if (crash && commandsLeft === 0) {
        crash.hasHappened ||= !processes[crash.process]!.isOver;
        processes[crash.process]!.connection.lose();
      }
      while (processes.some(({ connection, isOver }) => !isOver && connection.held === 0)) {
        await new Promise(setImmediate);
      }
      const held = processes.flatMap(({ connection }, process) =>
        Array.from({ length: connection.held }, (_, index) => ({ connection, process, index })),
      );
      if (held.length === 0) return;
      const { connection, process, index } = held[choose(held.length)]!;
      await connection.release(index);
      if (process === crash?.process) commandsLeft--;
      await afterEach();
    }
  }
}

/** Calls `run` once for every sequence of choices. */
export async function forEverySchedule(run: (choose: Schedule["choose"]) => Promise<void>): Promise<number> {
  const choices: { chosen: number; count: number }[] = [];
  for (let runs = 1; ; runs++) {
    let depth = 0;
    await run((count) => {
      choices[depth] ??= { chosen: 0, count };
      return choices[depth++]!.chosen;
    });
    while (choices.length > 0 && choices.at(-1)!.chosen + 1 === choices.at(-1)!.count) choices.pop();
    if (choices.length === 0) return runs;
    choices.at(-1)!.chosen++;
  }
}

/** Numbers from 0 up to 1 that are the same for the same seed. */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
