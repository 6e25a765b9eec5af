import { Type } from "typebox";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { IdentityContext } from "../context.ts";
import { invalid, notFound } from "../errors.ts";
import { replaceTags } from "../store/project-writes.ts";
import { tagsOf } from "../store/projects.ts";
import { Tags } from "./fields.ts";
import { authorizedProject } from "./projects.ts";

const MAX_TAGS = 80;
const TAG = /^[^,/]{1,255}$/;

export function projectTagRoutes(identity: IdentityContext): Route[] {
  const { store } = identity.kernel;
  const tagsOfProject = async (id: string) => (await tagsOf(store.read, [id])).get(id) ?? [];
  const replace = (id: string, tags: readonly string[]) => identity.change((t) => replaceTags(t, id, tags));

  return [
    route({
      name: "projects.tags.list",
      method: "GET",
      path: "/projects/:id/tags",
      policy: "identity:list_project_tags",
      async handler(request) {
        const { id } = await authorizedProject(request, "identity:list_project_tags", store.read);
        return { body: { tags: await tagsOfProject(id), links: { self: request.urls.self(`/projects/${id}/tags`) } } };
      },
    }),
    route({
      name: "projects.tags.replace",
      method: "PUT",
      path: "/projects/:id/tags",
      policy: "identity:update_project_tags",
      body: Type.Object({ tags: Tags }),
      async handler(request) {
        const { id } = await authorizedProject(request, "identity:update_project_tags", store.read);
        await replace(id, request.body.tags);
        return { body: { tags: await tagsOfProject(id), links: { self: request.urls.self(`/projects/${id}/tags`) } } };
      },
    }),
    route({
      name: "projects.tags.deleteAll",
      method: "DELETE",
      path: "/projects/:id/tags",
      policy: "identity:delete_project_tags",
      success: 204,
      async handler(request) {
        const { id } = await authorizedProject(request, "identity:delete_project_tags", store.read);
        await replace(id, []);
        return undefined;
      },
    }),
    route({
      name: "projects.tags.check",
      method: "GET",
      path: "/projects/:id/tags/:tag",
      policy: "identity:get_project_tag",
      success: 204,
      async handler(request) {
        const { id } = await authorizedProject(request, "identity:get_project_tag", store.read);
        const tag = request.param("tag");
        if (!(await tagsOfProject(id)).includes(tag)) throw notFound("project tag", tag);
        return undefined;
      },
    }),
    route({
      name: "projects.tags.create",
      method: "PUT",
      path: "/projects/:id/tags/:tag",
      policy: "identity:create_project_tag",
      success: 201,
      async handler(request) {
        const { id } = await authorizedProject(request, "identity:create_project_tag", store.read);
        const tag = request.param("tag");
        if (!TAG.test(tag)) throw invalid("A tag has 1 to 255 characters, none of them a comma or slash.");
        const tags = new Set(await tagsOfProject(id)).add(tag);
        if (tags.size > MAX_TAGS) throw invalid(`A project may have ${MAX_TAGS} tags.`);
        await replace(id, [...tags]);
        return { headers: { Location: request.urls.self(`/projects/${id}/tags/${encodeURIComponent(tag)}`) } };
      },
    }),
    route({
      name: "projects.tags.delete",
      method: "DELETE",
      path: "/projects/:id/tags/:tag",
      policy: "identity:delete_project_tag",
      success: 204,
      async handler(request) {
        const { id } = await authorizedProject(request, "identity:delete_project_tag", store.read);
        const tag = request.param("tag");
        const tags = await tagsOfProject(id);
        if (!tags.includes(tag)) throw notFound("project tag", tag);
        await replace(
          id,
          tags.filter((each) => each !== tag),
        );
        return undefined;
      },
    }),
  ];
}
