import type { FleetSettings } from "../../kernel/fleet/settings.ts";
import type { KernelServices } from "../../kernel/service/manifest.ts";
import type { ImagePublic } from "../image/public.ts";
import type { BlockStorageSettings } from "./settings.ts";

/** Everything that the block storage service works with. */
export interface BlockStorageDependencies {
  readonly kernel: KernelServices;
  readonly settings: BlockStorageSettings;
  readonly fleet: FleetSettings;
  readonly images: ImagePublic;
}
