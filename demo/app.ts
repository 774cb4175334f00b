import { SessionCookie } from "../session-cookie.ts";
import { DemoStore, type StoreSettings } from "./demo-store.ts";
import { CommandLog, type LoggedCommand } from "./explain/command-log.ts";
import { type Asset, loadAssets } from "./page/assets.ts";
import { FlashCookie } from "./page/flash-cookie.ts";
import { createPage, type Page } from "./page/render.ts";
import { RaceLab } from "./race-lab/race-lab.ts";
import type { Redis } from "./redis/connect.ts";
import { checkHealth } from "./redis/health.ts";
import { OutageLog } from "./redis/outage-log.ts";

/** Everything that requests need, made once. */
export interface App {
  store: DemoStore;
  /** The same store for one request, with a log of its commands. It opens no connection. */
  openLoggedStore: () => { store: DemoStore; commands: readonly LoggedCommand[] };
  /** The idle timeout in seconds, for sessions that are created without one. */
  ttl: number;
  /** The absolute timeout in seconds, for sessions that are created without one. No timeout may be longer. */
  absoluteTtl: number;
  sessionCookie: SessionCookie;
  isCookieSecure: boolean;
  flashCookie: FlashCookie;
  page: Page;
  /** The files that the page links, by path. */
  files: Map<string, Asset>;
  raceLab: RaceLab;
  /** Rejects unless sessions can be written. */
  checkHealth: () => Promise<void>;
  outages: OutageLog;
}

export interface AppOptions {
  redis: Pick<Redis, "client" | "address" | "ping">;
  storeSettings: StoreSettings;
  isCookieSecure: boolean;
  /** Default: a new one. */
  outages?: OutageLog;
}

export function createApp({ redis, storeSettings, isCookieSecure, ...options }: AppOptions): App {
  const { ttl, absoluteTtl } = storeSettings;
  const store = new DemoStore({ redis: redis.client, ...storeSettings });
  const sessionCookie = new SessionCookie({ secure: isCookieSecure });
  const assets = loadAssets();
  const pageSettings = {
    cookieName: sessionCookie.name,
    isCookieSecure,
    redisAddress: redis.address,
    ttl,
    absoluteTtl,
  };
  const app: App = {
    store,
    openLoggedStore() {
      const log = new CommandLog(redis.client);
      return { store: new DemoStore({ redis: log, ...storeSettings }), commands: log.commands };
    },
    ttl,
    absoluteTtl,
    sessionCookie,
    isCookieSecure,
    flashCookie: new FlashCookie({ secure: isCookieSecure }),
    page: createPage(pageSettings, assets),
    files: new Map(assets.map((asset) => [asset.path, asset])),
    raceLab: new RaceLab({ store, redis: redis.client, absoluteTtl }),
    checkHealth: () => checkHealth(store, redis),
    outages: options.outages ?? new OutageLog(() => app.checkHealth()),
  };
  return app;
}
