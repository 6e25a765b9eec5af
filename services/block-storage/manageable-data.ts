import { blockStorageVerbs, type Manageable } from "../../agent/protocol/block-storage.ts";
import type { Fleet } from "../../kernel/fleet/fleet.ts";
import type { IdSource } from "../../kernel/ids/ids.ts";

/** What is on arrays, asked of the agents themselves. Throws `unavailable` when nobody answers, `invalid` where a driver cannot tell. */
export interface ManageableData {
  on(host: string, backend: string): Promise<readonly Manageable[]>;
}

export function manageableData(fleet: Fleet, ids: IdSource, timeoutMs: number): ManageableData {
  return {
    async on(host, backend) {
      const asked = { host, subject: `${host}@${backend}`, id: ids.uuid(), timeoutMs };
      return (await fleet.commands.ask(blockStorageVerbs, "volume.listManageable", { backend }, asked)).found;
    },
  };
}
