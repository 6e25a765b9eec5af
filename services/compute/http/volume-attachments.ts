import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { serverOf, targetOf } from "./server-lookup.ts";

const RULE = "os_compute_api:os-volumes-attachments";

/** `/servers/{id}/os-volume_attachments`: servers have no volumes yet, which is what clients are told. */
export function volumeAttachmentRoutes(deps: FaceDependencies): Route[] {
  const q = deps.kernel.store.read;
  return [
    route({
      name: "servers.volumes.list",
      method: "GET",
      path: "/servers/:id/os-volume_attachments",
      policy: `${RULE}:index`,
      async handler(request) {
        const server = await serverOf(q, request);
        request.authorize(`${RULE}:index`, targetOf(server));
        return { body: { volumeAttachments: [] } };
      },
    }),
    route({
      name: "servers.volumes.show",
      method: "GET",
      path: "/servers/:id/os-volume_attachments/:volume",
      policy: `${RULE}:show`,
      async handler(request) {
        const server = await serverOf(q, request);
        request.authorize(`${RULE}:show`, targetOf(server));
        const volume = request.param("volume").slice(0, 80);
        throw new CloudError("notFound", "compute.volume_not_attached", `Volume ${volume} is not attached.`);
      },
    }),
  ];
}
