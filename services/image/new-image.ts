import type { ImageVisibility } from "./public.ts";
import type { ImageContext } from "./settings.ts";
import type { FullImage } from "./store/images.ts";

/** What may be said of an image when it is registered. */
export interface NewImage {
  readonly owner: string;
  /** Canonical UUID; chosen when absent. */
  readonly id?: string;
  readonly name?: string | null;
  readonly visibility?: ImageVisibility;
  readonly protected?: boolean;
  readonly hidden?: boolean;
  readonly minDiskGiB?: number;
  readonly minRamMiB?: number;
  readonly diskFormat?: string | null;
  readonly containerFormat?: string | null;
  readonly properties?: Readonly<Record<string, string>>;
  readonly tags?: readonly string[];
}

/** A registered image without data yet. */
export function queuedImage(context: ImageContext, image: NewImage): FullImage {
  const now = context.clock.now();
  return {
    row: {
      id: image.id ?? context.ids.uuid(),
      owner: image.owner,
      name: image.name ?? null,
      status: "queued",
      visibility: image.visibility ?? "shared",
      protected: image.protected ? 1 : 0,
      hidden: image.hidden ? 1 : 0,
      min_disk_gib: image.minDiskGiB ?? 0,
      min_ram_mib: image.minRamMiB ?? 0,
      disk_format: image.diskFormat ?? null,
      container_format: image.containerFormat ?? null,
      size_bytes: null,
      virtual_size_bytes: null,
      md5: null,
      sha256: null,
      sha512: null,
      upload_id: null,
      upload_seen_at: null,
      created_at: now,
      updated_at: now,
    },
    properties: image.properties ?? {},
    tags: [...new Set(image.tags ?? [])].sort(),
  };
}
