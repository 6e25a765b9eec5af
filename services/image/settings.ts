import type { Clock } from "../../kernel/clock/clock.ts";
import type { IdSource } from "../../kernel/ids/ids.ts";
import type { Store } from "../../kernel/store/store.ts";
import type { ImageFiles } from "./store/image-files.ts";

/** What this service's parts are built on. */
export interface ImageContext {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly files: ImageFiles;
  /** Bytes; larger uploads are refused (413). */
  readonly maxImageBytes: number;
}

/** Glance's cap: 1 TiB. */
export const DEFAULT_MAX_IMAGE_BYTES = 2 ** 40;
