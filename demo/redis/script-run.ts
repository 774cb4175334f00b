/** What the arguments and the reply tell of one run of a script, for people. */
export interface ScriptRun {
  operation: string;
  /** `page_views 1` of an increment, the TTL of `create` and `set_ttl`; empty for the others. */
  args: string[];
  /** `not cached`: Redis refused EVALSHA, and EVAL followed. `refused`: Redis replied with another error. */
  outcome: "not cached" | "refused" | "no session" | "done";
  /** Which conditions held; null if the reply does not tell. */
  conditions: Condition[] | null;
}

/**
 * What some commands of the store's script depend on: that the idle timeout is reset, that the absolute timeout comes
 * first, that the session was used earlier in this second.
 */
export const CONDITIONS = ["reset", "capped", "same second"] as const;
export type Condition = (typeof CONDITIONS)[number];

/**
 * Which conditions held in a `read`, from its reply: the fields, with `last_accessed_at` once more if it was
 * changed, and then the milliseconds left.
 */
export function readConditions(reply: unknown[], now: string): Condition[] {
  const fields = reply.slice(0, -1).map(String);
  const values = (field: string) => fields.filter((_, index) => index % 2 === 1 && fields[index - 1] === field);
  const accessed = values("last_accessed_at");
  const idle = Number(values("session_ttl")[0]) * 1000;
  const left = Number(reply.at(-1));
  const isReset = accessed.length > 1;
  const isDue = isReset || left <= idle - Math.min(1000, idle / 2);
  const conditions: Condition[] = [];
  if (isReset) conditions.push("reset");
  if (isReset && left < idle) conditions.push("capped");
  if (isDue && accessed[0]! >= now) conditions.push("same second");
  return conditions;
}
