/** A call of the store's script, as far as its arguments and the reply show what it did. */
export interface ScriptCall {
  operation: string;
  /** `page_views 1` of an increment, the TTL of `create` and `setTtl`; empty for the others. */
  args: string[];
  /** `not cached`: Redis refused EVALSHA, and EVAL followed. `refused`: Redis replied with another error. */
  outcome: "not cached" | "refused" | "no session" | "done";
  /** The conditions that were true; null if the reply does not show them. */
  conditions: Condition[] | null;
}

/**
 * Some commands of the script run only under a condition: the idle timeout was reset, the absolute timeout comes before
 * the idle one, the session was already used in this second, an update removes fields.
 */
export type Condition = "reset" | "capped" | "same second" | "removes";

/**
 * The arguments that a page may show, by operation. Those of other operations, and the values of a new session, are left
 * out: they may be personal.
 */
const SHOWN_ARGUMENTS: Record<string, (args: string[]) => string[]> = {
  create: ([ttl = ""]) => [ttl],
  increment: ([field = "", amount = ""]) => [field, amount],
  setTtl: ([ttl = ""]) => [ttl],
};

/** `reply` is the error if the call failed. */
export function describeScriptCall([operation = "", now = "", , ...args]: string[], reply: unknown): ScriptCall {
  return {
    operation,
    args: Object.hasOwn(SHOWN_ARGUMENTS, operation) ? SHOWN_ARGUMENTS[operation]!(args) : [],
    outcome: outcomeOf(reply),
    conditions: operation === "read" && Array.isArray(reply) ? readConditions(reply, now) : null,
  };
}

function outcomeOf(reply: unknown): ScriptCall["outcome"] {
  if (reply instanceof Error) return reply.message.startsWith("NOSCRIPT ") ? "not cached" : "refused";
  return reply === null ? "no session" : "done";
}

/**
 * The reply of `read` is the fields and their values, then `last_accessed_at` once more if it was changed, and last the
 * milliseconds left.
 */
function readConditions(reply: unknown[], now: string): Condition[] {
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
