import type { Queries } from "../../kernel/store/store.ts";
import type { VolumeRow } from "./store/tables.ts";

/** What other services may ask of Block Storage. */
export interface BlockStoragePublic {
  /** The volume, unless deleted. */
  find(q: Queries, volumeId: string): Promise<VolumeRow | undefined>;
}
