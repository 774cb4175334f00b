import type { RedisCommands } from "../redis-connection/index.ts";
import { SessionCookie } from "../session-cookie.ts";
import { DemoStore, type StoreSettings } from "./demo-store.ts";
import { CommandLog, type LoggedCommand } from "./explain/command-log.ts";
import { type Asset, loadAssets } from "./page/assets.ts";
import { FlashCookie } from "./page/flash-cookie.ts";
import { createPage, type Page } from "./page/render.ts";
import { RaceLab } from "./race-lab/race-lab.ts";

/** Everything that requests need, made once. */
export interface App extends Pick<StoreSettings, "ttl" | "absoluteTtl"> {
  store: DemoStore;
  /** The same store for one request, with a log of its commands. It opens no connection. */
  openLoggedStore: () => { store: DemoStore; commands: readonly LoggedCommand[] };
  sessionCookie: SessionCookie;
  isCookieSecure: boolean;
  flashCookie: FlashCookie;
  page: Page;
  /** The files that the page links, by path. */
  files: Map<string, Asset>;
  raceLab: RaceLab;
  /**
   * Rejects unless sessions can be written. Two checks are needed: Redis may refuse this user a command of the store, and in
   * a cluster the write may reach one master while another one is down.
   */
  checkHealth: () => Promise<void>;
}

export interface AppOptions {
  redis: RedisCommands;
  /** For people: where Redis is. */
  redisAddress: string;
  /** Rejects unless every master replies and would accept a write. */
  ping: () => Promise<unknown>;
  storeSettings: StoreSettings;
  isCookieSecure: boolean;
}

export function createApp({ redis, redisAddress, ping, storeSettings, isCookieSecure }: AppOptions): App {
  const { ttl, absoluteTtl } = storeSettings;
  const store = new DemoStore({ redis, ...storeSettings });
  const sessionCookie = new SessionCookie({ secure: isCookieSecure });
  const assets = loadAssets();
  const pageSettings = {
    cookieName: sessionCookie.name,
    isCookieSecure,
    redisAddress,
    absoluteTtl,
  };
  return {
    store,
    openLoggedStore() {
      const log = new CommandLog(redis);
      return { store: new DemoStore({ redis: log, ...storeSettings }), commands: log.commands };
    },
    ttl,
    absoluteTtl,
    sessionCookie,
    isCookieSecure,
    flashCookie: new FlashCookie({ secure: isCookieSecure }),
    page: createPage(pageSettings, assets),
    files: new Map(assets.map((asset) => [asset.path, asset])),
    raceLab: new RaceLab({ store, redis, absoluteTtl }),
    async checkHealth() {
      const [id] = await Promise.all([store.createSession({}, { ttl: 1 }), ping()]);
      await store.deleteSession(id);
    },
  };
}
