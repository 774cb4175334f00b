import type { RedisClientType } from "redis";
import { describeError, replyCode } from "./errors.ts";

/** Why a server that replies does not serve sessions. */
export interface ServerProblem {
  reason: string;
  isReplica: boolean;
}

/**
 * Redis refuses a script that may write even before it runs. So this one, which writes nothing, shows that memory is full,
 * that a snapshot failed, that there are too few replicas, or that data is still being loaded.
 */
const WRITE_PROBE = "#!lua\nreturn 1";
const OLDEST_VERSION = 7;

/**
 * Asks the server for its role, and if `asksToWrite`, whether it would run a script that writes. HELLO needs no permission,
 * and without arguments it changes nothing. Rejects if there is no connection.
 */
export async function findServerProblem(
  client: RedisClientType,
  asksToWrite: boolean,
): Promise<ServerProblem | undefined> {
  const [hello, refusal] = await Promise.all([
    replyOrRefusal(client.sendCommand<{ role?: string; version?: string }>(["HELLO"])),
    asksToWrite ? replyOrRefusal(client.eval(WRITE_PROBE, { keys: [], arguments: [] })) : undefined,
  ]);
  if (hello instanceof Error) {
    const isOld = hello.message.startsWith("ERR wrong number of arguments"); // before 6.2, HELLO needed one
    return { reason: isOld ? "Redis is older than 7.0" : describeError(hello), isReplica: false };
  }
  if (hello.role !== "master" || replyCode(refusal) === "READONLY") {
    return { reason: "the server is a replica, which accepts no writes", isReplica: true };
  }
  if (Number.parseInt(hello.version ?? "") < OLDEST_VERSION) {
    return { reason: `Redis ${hello.version} is older than 7.0`, isReplica: false };
  }
  // "ERR": the server does not know this way to write a script. That says nothing about writes.
  if (!(refusal instanceof Error) || replyCode(refusal) === "ERR") return undefined;
  return { reason: describeError(refusal), isReplica: false };
}

/** An error reply is a reply. Rejects with any other error. */
async function replyOrRefusal<Reply>(replying: Promise<Reply>): Promise<Reply | Error> {
  try {
    return await replying;
  } catch (error) {
    if (error instanceof Error && replyCode(error) !== undefined) return error;
    throw error;
  }
}
