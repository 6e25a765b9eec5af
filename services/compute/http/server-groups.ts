import { type Static, Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { byVersion, type Route, route } from "../../../kernel/http/route.ts";
import { digits, Name } from "../../../kernel/http/schemas.ts";
import { versionSteps } from "../../../kernel/http/version-steps.ts";
import { nextNumber } from "../../../kernel/store/counters.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { quotasOf, usageOf } from "../store/quotas.ts";
import { deleteGroup, findGroup, insertGroup, listGroups, type ServerGroup } from "../store/server-groups.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { lockQuotas, overQuota } from "./quota-check.ts";

const RULE = "os_compute_api:os-server-groups";
const Closed = { additionalProperties: false };
const HARD = ["anti-affinity", "affinity"];
const ALL = [...HARD, "soft-anti-affinity", "soft-affinity"];

const Body = Type.Object(
  {
    server_group: Type.Object(
      {
        name: Name,
        policy: Type.Enum(ALL),
        rules: Type.Optional(Type.Object({ max_server_per_host: Type.Optional(digits(1, 0x7fff_ffff)) }, Closed)),
      },
      Closed,
    ),
  },
  Closed,
);
type GroupRequest = Static<typeof Body>["server_group"] & { policies?: readonly string[] };

/** Up to 2.63 the policy came as a list of one. */
const oldBody = (policies: readonly string[]) =>
  Type.Object(
    {
      server_group: Type.Object(
        { name: Name, policies: Type.Array(Type.Enum([...policies]), { minItems: 1, maxItems: 1 }) },
        Closed,
      ),
    },
    Closed,
  ) as unknown as typeof Body;
const createBody = byVersion<typeof Body>({ "2.1": oldBody(HARD), "2.15": oldBody(ALL), "2.64": Body });

/** `/os-server-groups` */
export function serverGroupRoutes(deps: FaceDependencies): Route[] {
  const { store, ids, clock } = deps.kernel;
  const view = (group: ServerGroup, version: Parameters<typeof groupVersions.down>[0]) =>
    groupVersions.down(version, groupAnswer(group)).view;
  return [
    route({
      name: "server-groups.list",
      method: "GET",
      path: "/os-server-groups",
      policy: [`${RULE}:index`, `${RULE}:index:all_projects`],
      query: Type.Object({
        all_projects: Type.Optional(Type.String()),
        limit: Type.Optional(Type.Integer({ minimum: 0 })),
        offset: Type.Optional(Type.Integer({ minimum: 0 })),
      }),
      strictQueryFrom: "2.75",
      async handler(request) {
        const own = request.context.projectId;
        request.authorize(`${RULE}:index`, { project_id: own });
        const all = request.query.all_projects !== undefined && request.check(`${RULE}:index:all_projects`);
        const { limit = deps.settings.maxLimit, offset = 0 } = request.query;
        const groups = await listGroups(store.read, {
          projectId: all ? null : (own ?? ""),
          limit: Math.min(limit, deps.settings.maxLimit),
          offset,
        });
        return { body: { server_groups: groups.map((group) => view(group, request.version)) } };
      },
    }),
    route({
      name: "server-groups.create",
      method: "POST",
      path: "/os-server-groups",
      policy: `${RULE}:create`,
      body: createBody,
      async handler(request) {
        const { projectId, userId } = request.context;
        request.authorize(`${RULE}:create`, { project_id: projectId });
        const wanted = groupVersions.up(request.version, { ...request.body.server_group });
        const limit = wanted.rules?.max_server_per_host;
        if (wanted.rules && wanted.policy !== "anti-affinity") {
          const why = "Only anti-affinity policy supports rules.";
          throw new CloudError("invalid", "compute.group_rules", why);
        }
        const row = {
          id: ids.uuid(),
          project_id: projectId ?? "",
          user_id: userId,
          name: wanted.name,
          policy: wanted.policy,
          max_server_per_host: limit === undefined ? null : Number(limit),
          created_at: clock.now(),
        };
        const group = await store.tx(async (t) => {
          await lockQuotas(t);
          await mustHaveRoom(t, row.project_id);
          const made = { ...row, number: await nextNumber(t, "compute.server-group") };
          await insertGroup(t, made);
          return { ...made, members: [] };
        });
        return { body: { server_group: view(group, request.version) } };
      },
    }),
    route({
      name: "server-groups.show",
      method: "GET",
      path: "/os-server-groups/:id",
      policy: `${RULE}:show`,
      async handler(request) {
        const group = await groupOf(store.read, request.param("id"));
        request.authorize(`${RULE}:show`, { project_id: group.project_id });
        return { body: { server_group: view(group, request.version) } };
      },
    }),
    route({
      name: "server-groups.delete",
      method: "DELETE",
      path: "/os-server-groups/:id",
      policy: `${RULE}:delete`,
      success: 204,
      async handler(request) {
        const group = await groupOf(store.read, request.param("id"));
        request.authorize(`${RULE}:delete`, { project_id: group.project_id });
        await store.tx((t) => deleteGroup(t, group.id));
        return undefined;
      },
    }),
  ];
}

interface GroupAnswer {
  readonly group: ServerGroup;
  readonly view: Record<string, unknown>;
}

function groupAnswer(group: ServerGroup): GroupAnswer {
  const limit = group.max_server_per_host;
  const view = {
    id: group.id,
    name: group.name,
    policy: group.policy,
    rules: limit === null ? {} : { max_server_per_host: limit },
    members: group.members,
    project_id: group.project_id,
    user_id: group.user_id,
  };
  return { group, view };
}

/** Each microversion that changed how a group looks or is asked for. */
const groupVersions = versionSteps<GroupAnswer, GroupRequest>([
  {
    since: "2.13",
    name: "owner",
    down({ view }) {
      delete view.project_id;
      delete view.user_id;
    },
  },
  {
    since: "2.64",
    name: "one policy with rules",
    down({ view, group }) {
      delete view.policy;
      delete view.rules;
      view.policies = [group.policy];
      view.metadata = {};
    },
    up(wanted) {
      wanted.policy = wanted.policies?.[0] ?? wanted.policy;
    },
  },
]);

async function groupOf(q: Queries, id: string): Promise<ServerGroup> {
  const group = await findGroup(q, id);
  if (group) return group;
  throw new CloudError("notFound", "compute.group_not_found", `Instance group ${id} could not be found.`);
}

async function mustHaveRoom(q: Queries, projectId: string): Promise<void> {
  const [{ server_groups: limit }, { serverGroups: used }] = [
    await quotasOf(q, projectId),
    await usageOf(q, projectId),
  ];
  if (limit >= 0 && used >= limit) throw overQuota("server_groups", `already used ${used} of ${limit} groups`);
}
