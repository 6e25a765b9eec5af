import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { badImage } from "../domain/faults.ts";
import type { ImageStatus } from "../public.ts";
import type { ImageContext } from "../settings.ts";
import { setTags, transition } from "../store/images.ts";
import { findFor } from "./find.ts";

/** Deactivate and reactivate, and single tags. */
export function imageActionRoutes(context: ImageContext): Route[] {
  return [
    statusRoute(context, { action: "deactivate", from: "active", to: "deactivated" }),
    statusRoute(context, { action: "reactivate", from: "deactivated", to: "active" }),
    tagRoute(context, "PUT", (tags, tag) => [...tags, tag]),
    tagRoute(context, "DELETE", (tags, tag) => {
      if (tags.includes(tag)) return tags.filter((each) => each !== tag);
      throw new CloudError("notFound", "image.tag_not_found", `Image has no tag ${tag}.`);
    }),
  ];
}

function statusRoute(
  context: ImageContext,
  change: { action: "deactivate" | "reactivate"; from: ImageStatus; to: ImageStatus },
): Route {
  return route({
    name: `images.${change.action}`,
    method: "POST",
    path: `/images/:id/actions/${change.action}`,
    policy: change.action,
    success: 204,
    async handler(request) {
      await context.store.tx(async (t) => {
        const { row } = await findFor(t, request, change.action);
        if (row.status === change.to) return;
        const set = { updated_at: context.clock.now() };
        if (await transition(t, row.id, { from: change.from, to: change.to, set })) return;
        throw new CloudError(
          "forbidden",
          "image.status_change_refused",
          `Not allowed to ${change.action} an image in status '${row.status}'.`,
        );
      });
      return {};
    },
  });
}

function tagRoute(
  context: ImageContext,
  method: "PUT" | "DELETE",
  change: (tags: readonly string[], tag: string) => readonly string[],
): Route {
  return route({
    name: method === "PUT" ? "image_tags.add" : "image_tags.remove",
    method,
    path: "/images/:id/tags/:tag",
    policy: "modify_image",
    success: 204,
    async handler(request) {
      const tag = request.param("tag");
      if (tag.length > 255) throw badImage("The tag is too long.");
      await context.store.tx(async (t) => {
        const image = await findFor(t, request, "modify_image");
        const tags = change(image.tags, tag);
        if (tags.length > 128) {
          throw new CloudError("invalid", "image.too_many_tags", "An image may have at most 128 tags.", {
            httpStatus: 413,
          });
        }
        await setTags(t, image.row.id, tags);
      });
      return {};
    },
  });
}
