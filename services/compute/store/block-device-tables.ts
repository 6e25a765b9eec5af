import type { Selectable } from "kysely";
import type { Migration } from "../../../kernel/store/migrate.ts";

/**
 * `wanted`: its volume is yet to be made; `reserved`: nobody else may take it; `present`: the guest has it; `leaving`: the guest still
 * has it, and is to give it up; `gone`: the guest has given it up.
 */
export type BlockDeviceState = "wanted" | "reserved" | "present" | "leaving" | "gone";

/** A volume of a server. */
export interface BlockDeviceTable {
  /** `bdm_uuid` of the API. */
  id: string;
  server_id: string;
  state: BlockDeviceState;
  /** Null until it is made. */
  volume_id: string | null;
  /** Of Block Storage; null until the volume is reserved. */
  attachment_id: string | null;
  /** `/dev/vdb` */
  device: string;
  /** 0 is what the server boots from; null for disks that it never boots from. */
  boot_index: number | null;
  delete_on_termination: number;
  tag: string | null;
  /** JSON of MadeFrom for a volume that is made for the server; null for one that was there. */
  made_from: string | null;
  created_at: number;
}
export type BlockDeviceRow = Selectable<BlockDeviceTable>;

/** How a volume is made for a server. */
export interface MadeFrom {
  readonly source:
    | { readonly kind: "blank" }
    | { readonly kind: "image"; readonly imageId: string }
    | { readonly kind: "snapshot"; readonly snapshotId: string };
  readonly sizeGiB: number | null;
  readonly type: string | null;
  /** Who asked for it may use types and images that others may not. */
  readonly isAdmin: boolean;
}

export const blockDeviceMigration: Migration = {
  name: "compute-0005-block-devices",
  statements: [
    `CREATE TABLE server_block_devices (
      id text PRIMARY KEY, server_id text NOT NULL, state text NOT NULL, volume_id text, attachment_id text, device text NOT NULL,
      boot_index bigint, delete_on_termination bigint NOT NULL, tag text, made_from text, created_at bigint NOT NULL,
      UNIQUE (server_id, device))`,
  ],
};
