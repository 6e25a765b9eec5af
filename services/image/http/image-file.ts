import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import type { ApiResponse } from "../../../kernel/http/response.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { imageTooLarge } from "../domain/faults.ts";
import type { ImageContext } from "../settings.ts";
import type { ImageRow } from "../store/tables.ts";
import { uploadImage } from "../uploads.ts";
import { findFor } from "./find.ts";

export function fileRoutes(context: ImageContext): Route[] {
  return [
    route({
      name: "images.upload",
      method: "PUT",
      path: "/images/:id/file",
      policy: "upload_image",
      rawBody: true,
      success: 204,
      async handler(request) {
        const image = await findFor(context.store.read, request, "upload_image");
        requireBytes(request);
        const announced = Number(request.headers["content-length"] ?? 0);
        if (announced > context.maxImageBytes) throw imageTooLarge(context.maxImageBytes);
        await uploadImage(context, image, request.bodyStream);
        return {};
      },
    }),
    route({
      name: "images.download",
      method: "GET",
      path: "/images/:id/file",
      policy: ["download_image", "get_image"],
      async handler(request) {
        const { row } = await findFor(context.store.read, request, "download_image");
        if (row.status === "deactivated" && !request.context.isAdmin) {
          throw new CloudError("forbidden", "image.deactivated", "The requested image has been deactivated.");
        }
        if (row.size_bytes === null) return { status: 204 };
        return download(context, row, row.size_bytes, request);
      },
    }),
  ];
}

function requireBytes(request: ApiRequest): void {
  const type = String(request.headers["content-type"] ?? "").split(";")[0];
  if (type === "application/octet-stream") return;
  throw new CloudError("invalid", "image.data_type", "Data is sent as application/octet-stream.", { httpStatus: 415 });
}

/** All of the data, or the one range that is asked for. */
function download(context: ImageContext, row: ImageRow, size: number, request: ApiRequest): ApiResponse {
  const contentType = "application/octet-stream";
  const sum = row.md5 === null ? {} : { "Content-MD5": row.md5 };
  const asked = request.headers.range;
  if (typeof asked !== "string") {
    const headers = { ...sum, "Content-Length": String(size) };
    return { raw: context.files.read(row.id), contentType, headers };
  }
  const range = rangeOf(asked, size);
  const headers = {
    "Content-Length": String(range.end - range.start + 1),
    "Content-Range": `bytes ${range.start}-${range.end}/${size}`,
  };
  return { status: 206, raw: context.files.read(row.id, range), contentType, headers };
}

/** `bytes=0-99`, `bytes=100-`, `bytes=-10`. Throws 416 for anything else and for what lies outside. */
function rangeOf(text: string, size: number): { start: number; end: number } {
  const [, from = "", to = ""] = /^bytes=(\d*)-(\d*)$/.exec(text) ?? [];
  const start = from === "" ? Math.max(0, size - Number(to)) : Number(from);
  const end = from === "" || to === "" ? size - 1 : Math.min(Number(to), size - 1);
  if ((from !== "" || to !== "") && start <= end) return { start, end };
  throw new CloudError("invalid", "image.range", "The requested range lies outside the image.", { httpStatus: 416 });
}
