import { GlideClient } from "@valkey/valkey-glide";
import type { RedisScripting } from "./session-store.ts";

export async function connect(url: string): Promise<RedisScripting> {
  const { hostname, port } = new URL(url);
  const glide = await GlideClient.createClient({
    addresses: [{ host: hostname, port: Number(port) }],
    requestTimeout: 1000,
    connectionBackoff: { numberOfRetries: 5, factor: 50, exponentBase: 2 },
  });
  return {
    // The store runs the whole script if Redis does not know it. glide calls that error by another name.
    evalSha: async (sha1, { keys, arguments: args }) =>
      glide.customCommand(["EVALSHA", sha1, String(keys.length), ...keys, ...args]).catch((error: unknown) => {
        throw /NoScript/.test(String(error)) ? new Error(`NOSCRIPT ${String(error)}`) : error;
      }),
    eval: async (script, { keys, arguments: args }) =>
      glide.customCommand(["EVAL", script, String(keys.length), ...keys, ...args]),
  };
}
