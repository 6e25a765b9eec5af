import type { FleetSettings } from "../../kernel/fleet/settings.ts";
import type { KernelServices } from "../../kernel/service/manifest.ts";
import type { Queries, Tx } from "../../kernel/store/store.ts";
import type { ImagePublic } from "../image/public.ts";
import type { BlockStorageSettings } from "./settings.ts";

/** What Compute says of the servers that have volumes. */
export interface ServersOfVolumes {
  /** Keeps the server from being changed until the transaction ends; false when it is changing already, or is in no state to go on as it is. */
  holdSettled(t: Tx, serverId: string): Promise<boolean>;
  /** False once it is deleted: nobody can ask Compute to detach its volumes then. */
  hasServer(q: Queries, serverId: string): Promise<boolean>;
}

/** Everything that the block storage service works with. */
export interface BlockStorageDependencies {
  readonly kernel: KernelServices;
  readonly settings: BlockStorageSettings;
  readonly fleet: FleetSettings;
  readonly images: ImagePublic;
  readonly servers: ServersOfVolumes;
}
