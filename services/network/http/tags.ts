import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { Queries, Store } from "../../../kernel/store/store.ts";
import { invalidInput, type Missing, missing } from "../domain/faults.ts";
import { findRow } from "../store/list.ts";
import { addTag, removeTag, removeTags, setTags, tagsOf } from "../store/tags.ts";
import { networkSource, visibleNetworks } from "./networks.ts";
import { portSource, visiblePorts } from "./ports.ts";
import { viewerOf } from "./resource.ts";
import { securityGroupSource, visibleGroups } from "./security-groups.ts";
import { parentTarget, subnetSource, visibleSubnets } from "./subnets.ts";

const TAGGED = [
  { singular: "network", path: "/networks", source: networkSource, visible: visibleNetworks },
  { singular: "subnet", path: "/subnets", source: subnetSource, visible: visibleSubnets },
  { singular: "port", path: "/ports", source: portSource, visible: visiblePorts },
  { singular: "security_group", path: "/security-groups", source: securityGroupSource, visible: visibleGroups },
] as const;

const Tag = Type.String({ minLength: 1, maxLength: 255, format: "printable" });
const Tags = Type.Object(
  { tags: Type.Array(Tag, { maxItems: 50, uniqueItems: true }) },
  { additionalProperties: false },
);

interface TaggedRow {
  readonly id: string;
  readonly project_id: string;
  readonly network_id?: string;
  readonly shared?: number;
}

/** Tags of networks, subnets, ports and security groups. */
export function tagRoutes(store: Store): Route[] {
  return TAGGED.flatMap((kind) => routesOf(store, kind));
}

function routesOf(store: Store, kind: (typeof TAGGED)[number]): Route[] {
  const { singular, source } = kind;
  const path = `${kind.path}/:id/tags`;
  const name = `${singular}_tags`;
  const see = `get_${singular}`;
  const change = `update_${singular}`;

  const find = async (q: Queries, request: ApiRequest, rule: string): Promise<string> => {
    const id = request.param("id");
    const row = await findRow<TaggedRow>(q, source, id, kind.visible(viewerOf(request)));
    if (!row) throw missing(singular satisfies Missing, id);
    const parent = await parentTarget(q, row.network_id);
    request.authorize(rule, {
      project_id: row.project_id,
      tenant_id: row.project_id,
      shared: row.shared === 1,
      ...parent,
    });
    return row.id;
  };

  return [
    route({
      name: `${name}.list`,
      method: "GET",
      path,
      policy: see,
      async handler(request) {
        const id = await find(store.read, request, see);
        return { body: { tags: (await tagsOf(store.read, [id])).get(id) ?? [] } };
      },
    }),
    route({
      name: `${name}.replace`,
      method: "PUT",
      path,
      policy: change,
      body: Tags,
      async handler(request) {
        const { tags } = request.body;
        await store.tx(async (t) => setTags(t, await find(t, request, change), tags));
        return { body: { tags } };
      },
    }),
    route({
      name: `${name}.clear`,
      method: "DELETE",
      path,
      policy: change,
      success: 204,
      async handler(request) {
        await store.tx(async (t) => removeTags(t, await find(t, request, change)));
        return {};
      },
    }),
    route({
      name: `${name}.show`,
      method: "GET",
      path: `${path}/:tag`,
      policy: see,
      success: 204,
      async handler(request) {
        const id = await find(store.read, request, see);
        const tags = (await tagsOf(store.read, [id])).get(id) ?? [];
        if (!tags.includes(request.param("tag"))) throw tagMissing(request.param("tag"));
        return {};
      },
    }),
    route({
      name: `${name}.add`,
      method: "PUT",
      path: `${path}/:tag`,
      policy: change,
      success: 201,
      async handler(request) {
        const tag = request.param("tag");
        if (tag.length > 255) throw invalidInput("the tag is too long.");
        await store.tx(async (t) => addTag(t, await find(t, request, change), tag));
        return {};
      },
    }),
    route({
      name: `${name}.remove`,
      method: "DELETE",
      path: `${path}/:tag`,
      policy: change,
      success: 204,
      async handler(request) {
        const tag = request.param("tag");
        const found = await store.tx(async (t) => removeTag(t, await find(t, request, change), tag));
        if (!found) throw tagMissing(tag);
        return {};
      },
    }),
  ];
}

function tagMissing(tag: string): CloudError {
  return new CloudError("notFound", "network.tag_not_found", `Tag ${tag} could not be found.`);
}
