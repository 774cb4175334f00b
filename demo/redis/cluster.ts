import { createCluster } from "redis";
import {
  COMMAND_OPTIONS,
  type Connection,
  type Link,
  type Listeners,
  type Server,
  type ServerOptions,
} from "./single.ts";

const TOPOLOGY_REFRESH_MS = 500; // after a master is lost, the others are asked who has taken over
const ANSWER_LIMIT_MS = 900;

/** The cluster that has this node, any node, among its own. */
export function clusterWith(node: Server, options: ServerOptions, { failed, ready }: Listeners): Connection {
  const cluster = createCluster({
    rootNodes: [{ socket: node }],
    defaults: options,
    commandOptions: COMMAND_OPTIONS,
    topologyRefreshOnReconnectionAttemptStrategy: TOPOLOGY_REFRESH_MS,
  });
  const hasAllSlots = () => !(cluster.slots as unknown[]).includes(undefined);
  /** Broken while a slot has no master. node-redis would never ask again who has it, and offers no other way to ask. */
  const slotMap: Link = {
    get isOpen() {
      return hasAllSlots();
    },
    get isReady() {
      return hasAllSlots();
    },
    async connect() {
      await cluster._slots.rediscover(); // oxlint-disable-line no-underscore-dangle -- see above
      assertAllSlots();
      ready();
    },
    destroy() {},
    async ping() {},
  };
  let failure: unknown;
  cluster
    .on("error", (error: Error) => failed((failure = error)))
    .on("node-error", failed)
    .on("node-ready", ready);
  return {
    commands: {
      evalSha: (sha1, input) => inTime(cluster.evalSha(sha1, input)),
      eval: (script, input) => inTime(cluster.eval(script, input)),
      pTTL: (key) => inTime(cluster.pTTL(key)),
      ping: () => inTime(pingAll()),
    },
    links: () => [slotMap, ...cluster.masters.flatMap(({ client }) => client ?? [])],
    async connect() {
      await cluster.connect().catch((error) => {
        throw failure ?? error; // "error" told why, and this error only that
      });
      assertAllSlots();
    },
    close: () => cluster.close(),
    destroy: () => cluster.destroy(),
  };

  async function pingAll(): Promise<void> {
    assertAllSlots();
    await Promise.all(cluster.masters.map(async (master) => (await cluster.nodeClient(master)).ping()));
  }

  function assertAllSlots(): void {
    if (!hasAllSlots()) throw new Error("some slots of the cluster have no master");
  }
}

/** Besides its own answer, a command may have to wait for word of where its key is: no longer than a second in all. */
async function inTime<Answer>(answer: Promise<Answer>): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ANSWER_LIMIT_MS} ms`)), ANSWER_LIMIT_MS);
  });
  return Promise.race([answer, tooLate]).finally(() => clearTimeout(timer));
}
