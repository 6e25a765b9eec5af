import type { Readable } from "node:stream";
import type { ImageSource } from "../../agent/protocol/compute.ts";
import type { Queries } from "../../kernel/store/store.ts";
import { imageNotFound } from "./domain/faults.ts";
import type { ImagePublic, ImageSummary, ImageViewer } from "./public.ts";
import type { ImageContext } from "./settings.ts";
import { findImage, findVisibleImage, summaryOf } from "./store/images.ts";

/** Images as other services and the agents see them. */
export class PublicImages implements ImagePublic {
  readonly #context: ImageContext;

  constructor(context: ImageContext) {
    this.#context = context;
  }

  async find(q: Queries, id: string, viewer: ImageViewer): Promise<ImageSummary | undefined> {
    const image = await findVisibleImage(q, id, viewer);
    return image ? summaryOf(image) : undefined;
  }

  async imageSource(q: Queries, id: string): Promise<ImageSource | undefined> {
    const image = await findImage(q, id);
    if (image?.row.status !== "active") return undefined;
    const { disk_format, size_bytes, sha256 } = image.row;
    if (!isFormat(disk_format) || size_bytes === null || sha256 === null) return undefined;
    return { imageId: id, format: disk_format, sizeBytes: size_bytes, sha256 };
  }

  async openData(id: string): Promise<Readable> {
    if (!(await this.imageSource(this.#context.store.read, id))) throw imageNotFound(id);
    return this.#context.files.read(id);
  }
}

function isFormat(format: string | null): format is ImageSource["format"] {
  return DISK_FORMATS.some((known) => known === format);
}

/** The formats that hosts can run. */
export const DISK_FORMATS = ["raw", "qcow2", "aki", "ari", "ami"] as const satisfies readonly ImageSource["format"][];
