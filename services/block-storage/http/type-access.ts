import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { action, actionRoute, type Route, route } from "../../../kernel/http/route.ts";
import { addTypeAccess, getType, projectsOfType, removeTypeAccess } from "../store/volume-types.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { viewerOf } from "./type-view.ts";

const RULE = "volume_extension:volume_type_access";

const Project = Type.Object(
  { project: Type.String({ minLength: 1, maxLength: 255, pattern: "^[a-zA-Z0-9-]*$" }) },
  { additionalProperties: false },
);

/** Which projects may use a type that is not public. */
export function typeAccessRoutes(deps: FaceDependencies): Route[] {
  const { store } = deps.kernel;
  return [
    route({
      name: "types.access.list",
      method: "GET",
      path: "/types/:id/os-volume-type-access",
      policy: `${RULE}:get_all_for_type`,
      async handler(request) {
        request.authorize(`${RULE}:get_all_for_type`);
        const row = await getType(store.read, viewerOf(request), request.param("id"));
        if (row.is_public === 1) {
          const why = "Access list not available for public volume types.";
          throw new CloudError("notFound", "block-storage.type_has_no_access_list", why);
        }
        const projects = await projectsOfType(store.read, row.id);
        return {
          body: { volume_type_access: projects.map((project_id) => ({ volume_type_id: row.id, project_id })) },
        };
      },
    }),
    actionRoute({
      name: "types.action",
      path: "/types/:id/action",
      actions: [
        action({
          key: "addProjectAccess",
          policy: `${RULE}:addProjectAccess`,
          body: Project,
          async handler(request) {
            request.authorize(`${RULE}:addProjectAccess`);
            const { project } = request.body;
            await store.tx(async (t) => {
              const row = await getType(t, viewerOf(request), request.param("id"));
              if (row.is_public === 1) {
                const why = "Project access to a public volume type is not needed.";
                throw new CloudError("conflict", "block-storage.type_is_public", why);
              }
              if (await addTypeAccess(t, row.id, project)) return;
              const why = `Volume type access for ${row.id} / ${project} combination already exists.`;
              throw new CloudError("conflict", "block-storage.type_access_exists", why);
            });
            return undefined;
          },
        }),
        action({
          key: "removeProjectAccess",
          policy: `${RULE}:removeProjectAccess`,
          body: Project,
          async handler(request) {
            request.authorize(`${RULE}:removeProjectAccess`);
            const { project } = request.body;
            await store.tx(async (t) => {
              const row = await getType(t, viewerOf(request), request.param("id"));
              if (await removeTypeAccess(t, row.id, project)) return;
              const why = `Volume type access not found for ${row.id} / ${project} combination.`;
              throw new CloudError("notFound", "block-storage.type_access_not_found", why);
            });
            return undefined;
          },
        }),
      ],
    }),
  ];
}
