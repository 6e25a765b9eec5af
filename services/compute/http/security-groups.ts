import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type Action, action, type Route, route } from "../../../kernel/http/route.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { IngressRule, SecurityGroupInfo } from "../../network/public.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { serverOf, targetOf } from "./server-lookup.ts";
import type { Json } from "./server-view.ts";

const RULE = "os_compute_api:os-security-groups";
/** From then on clients ask the network service itself. */
const NETWORK_PROXIES_END = "2.35";
const Named = Type.Object(
  { name: Type.String({ minLength: 1, maxLength: 255, pattern: "\\S" }) },
  { additionalProperties: false },
);

/** addSecurityGroup and removeSecurityGroup: groups of the server's ports, at once. */
export function securityGroupActions(deps: FaceDependencies): Action[] {
  const { store } = deps.kernel;
  const { network } = deps;
  type Change = (t: Tx, server: { id: string; projectId: string }, name: string) => Promise<void>;
  const change = (key: string, policy: string, act: Change) =>
    action({
      key,
      policy,
      body: Named,
      async handler(request) {
        const server = await serverOf(store.read, request);
        request.authorize(policy, targetOf(server));
        const whose = { id: server.id, projectId: server.project_id };
        await store.tx((t) => act(t, whose, request.body.name));
        return undefined;
      },
    });
  return [
    change("addSecurityGroup", `${RULE}:add`, (t, server, name) => network.addSecurityGroup(t, server, name)),
    change("removeSecurityGroup", `${RULE}:remove`, (t, server, name) => network.removeSecurityGroup(t, server, name)),
  ];
}

/** `/servers/{id}/os-security-groups`, and the project's groups, where clients look names up before they give a group. */
export function securityGroupRoutes(deps: FaceDependencies): Route[] {
  const q = deps.kernel.store.read;
  return [
    route({
      name: "servers.security_groups.list",
      method: "GET",
      path: "/servers/:id/os-security-groups",
      policy: `${RULE}:list`,
      async handler(request) {
        const server = await serverOf(q, request);
        request.authorize(`${RULE}:list`, targetOf(server));
        const groups = await deps.network.securityGroupsOf(q, server.id);
        return { body: { security_groups: groups.map(view) } };
      },
    }),
    route({
      name: "security_groups.list",
      method: "GET",
      path: "/os-security-groups",
      policy: `${RULE}:get`,
      maxVersion: NETWORK_PROXIES_END,
      async handler(request) {
        const projectId = request.context.projectId ?? "";
        request.authorize(`${RULE}:get`, { project_id: projectId });
        const groups = await deps.network.securityGroupsOfProject(q, projectId);
        return { body: { security_groups: groups.map(view) } };
      },
    }),
    route({
      name: "security_groups.show",
      method: "GET",
      path: "/os-security-groups/:id",
      policy: `${RULE}:show`,
      maxVersion: NETWORK_PROXIES_END,
      async handler(request) {
        const projectId = request.context.projectId ?? "";
        request.authorize(`${RULE}:show`, { project_id: projectId });
        const id = request.param("id");
        const group = (await deps.network.securityGroupsOfProject(q, projectId)).find((each) => each.id === id);
        if (group) return { body: { security_group: view(group) } };
        throw new CloudError("notFound", "compute.security_group_not_found", `Security group ${id} not found.`);
      },
    }),
  ];
}

/** As Compute showed groups when it kept them itself: only what comes in has rules. */
function view(group: SecurityGroupInfo): Json {
  return {
    id: group.id,
    name: group.name,
    description: group.description,
    tenant_id: group.projectId,
    rules: group.ingress.map((rule) => ruleView(rule, group.id)),
  };
}

function ruleView(rule: IngressRule, groupId: string): Json {
  const { remoteGroup: remote } = rule;
  return {
    id: rule.id,
    parent_group_id: groupId,
    ip_protocol: rule.protocol,
    from_port: rule.fromPort,
    to_port: rule.toPort,
    group: remote ? { name: remote.name, tenant_id: remote.projectId } : {},
    ip_range: remote ? {} : { cidr: rule.cidr ?? "0.0.0.0/0" },
  };
}
