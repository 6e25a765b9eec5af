import { join } from "node:path";
import type { Clock } from "../../kernel/clock/clock.ts";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import type { Logger } from "../../kernel/log/logger.ts";
import { SqliteStore } from "../../kernel/store/sqlite-store.ts";
import type { Store } from "../../kernel/store/store.ts";
import { lockState } from "../state-lock.ts";

/** Opens the database; with the embedded one, locks the state folder for as long as it is open. */
export async function openStore(options: {
  stateDir: string;
  database: string | null;
  clock: Clock;
  log: Logger;
}): Promise<Store> {
  const { stateDir, database, clock, log } = options;
  if (database !== null) return await openPostgres(database, { log, clock });
  const unlock = await lockState(stateDir);
  const store = new SqliteStore({ file: join(stateDir, "pileus.db") });
  const close = store.close.bind(store);
  store.close = async () => {
    await close();
    await unlock();
  };
  return store;
}

/** Throws `server.no_database`, which names the server but neither user nor password. */
async function openPostgres(url: string, environment: { log: Logger; clock: Clock }): Promise<Store> {
  // Most clouds do without: the client is not loaded for them.
  const { PostgresStore } = await import("../../kernel/store/postgres-store.ts");
  try {
    return await PostgresStore.open({ url, ...environment });
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown reason";
    const where = URL.canParse(url) ? new URL(url).host : "the given URL";
    const problem = `The database at ${where} cannot be opened (${code}). Does it run, and is --database or PILEUS_DATABASE right?`;
    throw new CloudError("unavailable", "server.no_database", problem, { cause });
  }
}
