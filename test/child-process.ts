import type { ChildProcess } from "node:child_process";

/** How long something lives: a test's context, or node:test itself for the whole file. */
export interface Lifetime {
  after: (end: () => unknown) => void;
}

const children = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(1));

/** Kills the child when this process exits, also when its `after` hooks do not run. */
export function killAtExit<Child extends ChildProcess>(child: Child): Child {
  children.add(child);
  return child.once("exit", () => children.delete(child));
}
