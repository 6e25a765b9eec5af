import type { Readable } from "node:stream";
import type { ImageSource } from "../../agent/protocol/compute.ts";
import type { Queries } from "../../kernel/store/store.ts";

export type ImageStatus = "queued" | "saving" | "active" | "deactivated";
export type ImageVisibility = "public" | "private" | "shared" | "community";

export interface ImageSummary {
  readonly id: string;
  /** Empty when the image has no name. */
  readonly name: string;
  readonly status: ImageStatus;
  readonly minDiskGiB: number;
  readonly minRamMiB: number;
  /** Null until the data was uploaded. */
  readonly sizeBytes: number | null;
  /** Size of the disk that a guest sees. */
  readonly virtualSizeBytes: number | null;
  readonly diskFormat: string | null;
  readonly containerFormat: string | null;
  /** Free properties, `kernel_id` and `ramdisk_id` among them. */
  readonly properties: Readonly<Record<string, string>>;
  readonly visibility: ImageVisibility;
  readonly ownerProjectId: string;
}

export interface ImageViewer {
  readonly projectId: string | null;
  readonly isAdmin: boolean;
}

export interface ImagePublic {
  /** Undefined when there is no such image or the viewer may not see it. */
  find(q: Queries, id: string, viewer: ImageViewer): Promise<ImageSummary | undefined>;
  /** How an agent gets the data; undefined unless the image is active. */
  imageSource(q: Queries, id: string): Promise<ImageSource | undefined>;
  /** The data of an active image, for agents. Throws `notFound` `image.not_found`. */
  openData(id: string): Promise<Readable>;
}
