import type { Client } from "./redis-connection.ts";

/** How often Redis ran each command while the action ran, those inside a script included. */
export async function commandsDuring(redis: Client, action: () => Promise<unknown>): Promise<Record<string, number>> {
  return (await costIn(redis, action)).commands;
}

const OTHERS = new Set(["ping", "replconf"]); // from the watchdog and the replicas

/**
 * The commands of the action, as in `commandsDuring`; how many commands came from others meanwhile; and the number of
 * round trips of both together.
 */
export async function costIn(redis: Client, action: () => Promise<unknown>) {
  const servers = redis.servers();
  await Promise.all(servers.map((server) => server.configResetStat()));
  await action();
  const infos = await Promise.all(servers.map((server) => server.info("all")));
  const commands: Record<string, number> = {};
  let others = 0;
  let roundTrips = 0;
  for (const info of infos) {
    roundTrips += Number(/total_reads_processed:(\d+)/.exec(info)![1]) - 1; // 1: the INFO itself
    for (const [, command, calls] of info.matchAll(/^cmdstat_(\S+?):calls=(\d+)/gm)) {
      if (OTHERS.has(command!)) others += Number(calls);
      else if (command !== "config|resetstat") commands[command!] = (commands[command!] ?? 0) + Number(calls);
    }
  }
  return { commands, others, roundTrips };
}
