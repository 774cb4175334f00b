import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";

/** How long something lives: a test's context, or node:test itself for the whole file. */
export interface Lifetime {
  after: (end: () => unknown) => void;
}

/**
 * Kills the child when this process is gone, however it ended: node:test runs no `after` hook if a test file fails
 * outside a test, and nothing runs after SIGKILL. The shell's input ends with this process.
 */
export function killAtExit<Child extends ChildProcess>(child: Child): Child {
  const script = 'read -r _; kill -9 "$0"';
  const stdio = ["pipe", "ignore", "ignore"] as const;
  const guard = spawn("sh", ["-c", script, String(child.pid)], { detached: true, stdio: [...stdio] });
  guard.unref();
  (guard.stdin as Socket).unref();
  return child.once("exit", () => guard.kill());
}
