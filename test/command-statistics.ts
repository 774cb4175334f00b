import type { Client } from "./redis-connection.ts";

/** How often Redis ran each command during the action, those inside a script included, and the number of round trips. */
export async function costOf(redis: Client, action: () => Promise<unknown>) {
  const servers = redis.servers();
  await Promise.all(servers.map((server) => server.configResetStat()));
  await action();
  const infos = await Promise.all(servers.map((server) => server.info("all")));
  const commands: Record<string, number> = {};
  let roundTrips = 0;
  for (const info of infos) {
    roundTrips += Number(/total_reads_processed:(\d+)/.exec(info)![1]) - 1; // 1: the INFO itself
    for (const [, command = "", calls] of info.matchAll(/^cmdstat_(\S+?):calls=(\d+)/gm)) {
      if (command === "replconf") roundTrips -= Number(calls);
      else if (command !== "config|resetstat") commands[command] = (commands[command] ?? 0) + Number(calls);
    }
  }
  return { commands, roundTrips };
}
