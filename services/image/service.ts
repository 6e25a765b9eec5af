import { minutes } from "../../kernel/clock/clock.ts";
import type { KernelServices, ServiceManifest } from "../../kernel/service/manifest.ts";
import { imageFace } from "./http/face.ts";
import { imageActionRoutes } from "./http/image-actions.ts";
import { fileRoutes } from "./http/image-file.ts";
import { imageRoutes } from "./http/images.ts";
import { memberRoutes } from "./http/members.ts";
import { patchRoute } from "./http/patch-image.ts";
import { documentRoutes } from "./http/schemas.ts";
import { versionRoutes } from "./http/versions.ts";
import { imagePolicies } from "./policies.ts";
import type { ImagePublic, ImageSummary } from "./public.ts";
import { PublicImages } from "./public-images.ts";
import { ensureGuestImages, ensurePublicImage, type GuestFiles, type ImageFile } from "./seed.ts";
import { DEFAULT_MAX_IMAGE_BYTES, type ImageContext } from "./settings.ts";
import { ImageFiles } from "./store/image-files.ts";
import { imageMigrations } from "./store/tables.ts";
import { sweepImages } from "./sweep.ts";

export interface ImageOptions {
  /** Folder of the data, `<stateDir>/images`; made when missing. All server processes of a cloud must share it. */
  readonly dataDir: string;
  /** Larger uploads are refused (413); 1 TiB when absent. */
  readonly maxImageBytes?: number;
}

export interface ImageService {
  readonly manifest: ServiceManifest;
  readonly public: ImagePublic;
  /** A public image of the file; kept when one of that name and content is there. */
  ensurePublicImage(file: ImageFile): Promise<ImageSummary>;
  /** Kernel, RAM disk and root disk of a guest; answers the root disk's image. */
  ensureGuestImages(guest: GuestFiles): Promise<ImageSummary>;
}

type Kernel = Pick<KernelServices, "store" | "clock" | "ids">;

export function createImageService(kernel: Kernel, options: ImageOptions): ImageService {
  const context: ImageContext = {
    store: kernel.store,
    clock: kernel.clock,
    ids: kernel.ids,
    files: new ImageFiles(options.dataDir),
    maxImageBytes: options.maxImageBytes ?? DEFAULT_MAX_IMAGE_BYTES,
  };
  const routes = [
    ...versionRoutes,
    ...documentRoutes,
    ...imageRoutes(context),
    patchRoute(context),
    ...fileRoutes(context),
    ...imageActionRoutes(context),
    ...memberRoutes(context),
  ];
  return {
    manifest: {
      name: "image",
      migrations: imageMigrations,
      policies: imagePolicies,
      faces: [{ face: imageFace, routes }],
      operations: [],
      reconcilers: [{ name: "image.sweep", everyMs: minutes(1), run: () => sweepImages(context) }],
    },
    public: new PublicImages(context),
    ensurePublicImage: (file) => ensurePublicImage(context, file),
    ensureGuestImages: (guest) => ensureGuestImages(context, guest),
  };
}
