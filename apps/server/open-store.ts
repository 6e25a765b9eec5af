import { join } from "node:path";
import type { Clock } from "../../kernel/clock/clock.ts";
import type { Logger } from "../../kernel/log/logger.ts";
import { PostgresStore } from "../../kernel/store/postgres-store.ts";
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
  if (database !== null) return await PostgresStore.open({ url: database, log, clock });
  const unlock = await lockState(stateDir);
  const store = new SqliteStore({ file: join(stateDir, "pileus.db") });
  const close = store.close.bind(store);
  store.close = async () => {
    await close();
    await unlock();
  };
  return store;
}
