import { findProgram } from "./find-program.mjs";

export interface PrivateRedis {
  host: string;
  port: number;
  stop(): Promise<void>;
}

const STOP_LIMIT_MS = 1000;

/**
 * Starts a Redis of our own: in memory, on a free port, out of reach from any other machine. A watcher process of
 * redis-memory-server ends it even where this process is killed. Without a `redis-server` on the `PATH` the package
 * uses one that it builds from source, once, which takes minutes: `onBuild` is called first. `programs` are tried in turn.
 */
export async function startPrivateRedis(
  onBuild: () => void = () => {},
  programs = ["redis-server", "valkey-server"],
): Promise<PrivateRedis> {
  const systemBinary = findProgram(...programs);
  if (systemBinary === undefined) onBuild();
  const { RedisMemoryServer } = await import("redis-memory-server"); // a tenth of a second, and seldom needed
  const server = await RedisMemoryServer.create({
    instance: { ip: "127.0.0.1" },
    binary: systemBinary === undefined ? {} : { systemBinary },
    // Detached: a Ctrl-C in the terminal is for us, and we still need Redis to finish what is under way.
    spawn: { detached: true },
  });
  const instance = await server.ensureInstance();
  const kill = () => instance.childProcess?.kill("SIGKILL");
  process.on("exit", kill); // for an end that waits for nothing
  return {
    host: instance.ip,
    port: instance.port,
    async stop() {
      const hung = setTimeout(kill, STOP_LIMIT_MS);
      await server.stop();
      clearTimeout(hung);
      process.off("exit", kill);
    },
  };
}
