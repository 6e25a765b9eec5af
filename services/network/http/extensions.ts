import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type Route, route } from "../../../kernel/http/route.ts";

/** What clients may count on beyond networks, subnets and ports: only what is really so. */
const EXTENSIONS: readonly (readonly [alias: string, name: string, description: string])[] = [
  ["agent", "agent", "The agent management extension."],
  ["availability_zone", "Availability Zone", "The availability zone extension."],
  ["binding", "Port Binding", "Expose port bindings of a virtual port to external application"],
  ["net-mtu", "Network MTU", "Provides MTU attribute for a network resource."],
  ["net-mtu-writable", "Network MTU (writable)", "Provides a writable MTU attribute for a network resource."],
  ["network_availability_zone", "Network Availability Zone", "Availability zone support for network."],
  ["pagination", "Pagination support", "Extension that indicates that pagination is enabled."],
  ["project-id", "project_id field enabled", "Extension that indicates that project_id field is enabled."],
  ["provider", "Provider Network", "Expose mapping of virtual networks to physical networks"],
  ["quotas", "Quota management support", "Expose functions for quotas management per project"],
  ["quota_details", "Quota details management support", "Expose functions for quotas usage statistics per project"],
  ["security-group", "security-group", "The security groups extension. Groups are stored, not enforced."],
  ["sorting", "Sorting support", "Extension that indicates that sorting is enabled."],
  ["standard-attr-description", "standard-attr-description", "Extension to add descriptions to standard attributes"],
  [
    "standard-attr-revisions",
    "Resource revision numbers",
    "This extension will display the revision number of resources.",
  ],
  ["standard-attr-tag", "Tag support for resources with standard attribute", "Enables to set tag on resources."],
  ["standard-attr-timestamp", "Resource timestamps", "Adds created_at and updated_at fields to all resources."],
  ["stateful-security-group", "Stateful security group", "Indicates if the security group is stateful or not"],
];

const views = EXTENSIONS.map(([alias, name, description]) => ({
  alias,
  name,
  description,
  updated: "2026-01-01T00:00:00-00:00",
  links: [],
}));

export const extensionRoutes: readonly Route[] = [
  route({
    name: "extensions.list",
    method: "GET",
    path: "/extensions",
    policy: "authenticated",
    handler: () => ({ body: { extensions: views } }),
  }),
  route({
    name: "extensions.show",
    method: "GET",
    path: "/extensions/:alias",
    policy: "authenticated",
    handler(request) {
      const alias = request.param("alias");
      const extension = views.find((view) => view.alias === alias);
      if (extension) return { body: { extension } };
      throw new CloudError("notFound", "network.extension_not_found", `Extension with alias ${alias} does not exist`);
    },
  }),
];
