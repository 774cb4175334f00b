/**
 * What these servers use of the packages in `bench/package.json`. It is written down here, so that `npm run check` does
 * not need them to be installed.
 */
declare module "connect-redis" {
  import { MemoryStore } from "express-session";

  export class RedisStore extends MemoryStore {
    constructor(options: { client: unknown; prefix: string; ttl: number });
  }
}

declare module "@fastify/cookie" {
  import type { FastifyPluginCallback } from "fastify";

  const plugin: FastifyPluginCallback;
  export default plugin;
}

declare module "@fastify/session" {
  import type { Store } from "express-session";
  import type { FastifyPluginCallback } from "fastify";

  const plugin: FastifyPluginCallback<{
    cookieName: string;
    secret: string;
    store: Store;
    saveUninitialized: boolean;
    cookie: { httpOnly: boolean; sameSite: "lax"; secure: boolean };
  }>;
  export default plugin;
}
