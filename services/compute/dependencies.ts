import type { FleetSettings } from "../../kernel/fleet/settings.ts";
import type { KernelServices } from "../../kernel/service/manifest.ts";
import type { BlockStoragePublic } from "../block-storage/public.ts";
import type { ImagePublic } from "../image/public.ts";
import type { NetworkPublic } from "../network/public.ts";
import type { ComputeSettings } from "./settings.ts";

/** Everything that the compute service works with. */
export interface ComputeDependencies {
  readonly kernel: KernelServices;
  readonly settings: ComputeSettings;
  readonly fleet: FleetSettings;
  readonly images: ImagePublic;
  readonly network: NetworkPublic;
  readonly blockStorage: BlockStoragePublic;
}
