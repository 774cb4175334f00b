/**
 * The packages in `bench/package.json`, written down here so that `npm run check` does not need them to be installed.
 */
declare module "@fastify/cookie";
declare module "@fastify/session";

declare module "connect-redis" {
  import { Store } from "express-session";

  export class RedisStore extends Store {
    constructor(options: { client: unknown; prefix: string; ttl: number });
    get(id: string): Promise<unknown>;
    set(id: string, session: object): Promise<unknown>;
    touch(id: string, session: object): Promise<unknown>;
    destroy(id: string): Promise<unknown>;
  }
}
