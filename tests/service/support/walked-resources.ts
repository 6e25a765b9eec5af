import { sleep, systemClock } from "../../../kernel/clock/clock.ts";
import type { PolicyTarget } from "../../../kernel/policy/credentials.ts";
import type { CloudClient } from "./cloud-client.ts";
import type { People, Persona } from "./personas.ts";

const LIMIT_MS = 30_000;
/** An id of nothing. */
export const NOBODY = "9d3b7e52-6c0f-4c51-8a6e-0123456789ab";

/**
 * What the walk asks about: one of each resource, owned by the member, by the part of the path in front of its id
 * (`/compute/servers`); where services share a word, the first part tells them apart.
 */
export type Resources = ReadonlyMap<string, string>;

interface Body {
  readonly [key: string]: never;
}

/** Everything that a member may make, made by the member; what only operators make exists already. */
export async function makeResources(
  client: CloudClient,
  { member, admin, projectId, memberId }: People,
  name = "walk",
): Promise<Resources> {
  const post = (path: string, body: unknown, headers: Readonly<Record<string, string>> = {}) =>
    client.must<Body>({ method: "POST", path, token: member.token, body, headers });
  const first = async (path: string, key: string): Promise<string> => {
    const body = await client.must<Record<string, { id: string }[]>>({ method: "GET", path, token: admin.token });
    return String(body[key]?.[0]?.id ?? NOBODY);
  };
  const made = async (path: string, key: string, value: unknown): Promise<string> => {
    const body: Record<string, { id: string }> = await post(path, { [key]: value });
    return body[key]?.id ?? NOBODY;
  };
  const network = await made("/network/v2.0/networks", "network", { name });
  const subnet = await made("/network/v2.0/subnets", "subnet", {
    network_id: network,
    ip_version: 4,
    cidr: "10.77.0.0/24",
  });
  const group = await made("/network/v2.0/security-groups", "security_group", { name });
  const rule = { security_group_id: group, direction: "ingress", ethertype: "IPv4", protocol: "icmp" };
  const image: { id?: string } = await post("/image/v2/images", {
    name,
    disk_format: "raw",
    container_format: "bare",
  });
  const flavor = await first("/compute/v2.1/flavors", "flavors");
  const guest = await first("/image/v2/images?name=pileus-guest", "images");
  const server = await made("/compute/v2.1/servers", "server", {
    name,
    flavorRef: flavor,
    imageRef: guest,
    networks: [{ uuid: network }],
  });
  await untilActive(client, member, server);
  await post("/compute/v2.1/os-keypairs", { keypair: { name } });
  const users = `/identity/v3/users/${memberId}`;
  return new Map([
    ["/compute/servers", server],
    ["/compute/flavors", flavor],
    ["/compute/os-keypairs", name],
    [
      "/compute/os-server-groups",
      await made("/compute/v2.1/os-server-groups", "server_group", { name, policies: ["affinity"] }),
    ],
    ["/compute/os-quota-sets", projectId],
    ["/volume/os-quota-sets", projectId],
    ["/volume/volumes", await made("/volume/v3/volumes", "volume", { size: 1 })],
    ["/compute/os-simple-tenant-usage", projectId],
    ["/compute/os-services", await first("/compute/v2.1/os-services", "services")],
    ["/compute/os-hypervisors", await first("/compute/v2.1/os-hypervisors", "hypervisors")],
    ["/network/networks", network],
    ["/network/subnets", subnet],
    ["/network/security-groups", group],
    ["/network/security-group-rules", await made("/network/v2.0/security-group-rules", "security_group_rule", rule)],
    ["/network/ports", await made("/network/v2.0/ports", "port", { network_id: network })],
    ["/network/quotas", projectId],
    ["/image/images", image.id ?? NOBODY],
    ["/identity/tokens", member.token],
    ["/identity/projects", projectId],
    ["/identity/users", memberId],
    ["/identity/roles", await first("/identity/v3/roles?name=reader", "roles")],
    ["/identity/implies", await first("/identity/v3/roles?name=member", "roles")],
    ["/identity/domains", "default"],
    ["/identity/regions", await first("/identity/v3/regions", "regions")],
    ["/identity/services", await first("/identity/v3/services", "services")],
    ["/identity/endpoints", await first("/identity/v3/endpoints", "endpoints")],
    ["/identity/groups", await groupOf(client, admin, name)],
    [
      "/identity/application_credentials",
      await made(`${users}/application_credentials`, "application_credential", { name }),
    ],
    ["/v1/operations", await first("/v1/operations", "operations")],
  ]);
}

async function groupOf(client: CloudClient, admin: Persona, name: string): Promise<string> {
  const ask = { method: "POST", path: "/identity/v3/groups", token: admin.token, body: { group: { name } } };
  return (await client.must<{ group: { id: string } }>(ask)).group.id;
}

async function untilActive(client: CloudClient, member: Persona, id: string): Promise<void> {
  const limit = systemClock.now() + LIMIT_MS;
  for (;;) {
    const ask = { method: "GET", path: `/compute/v2.1/servers/${id}`, token: member.token };
    const { server } = await client.must<{ server: { status: string } }>(ask);
    if (server.status === "ACTIVE") return;
    if (server.status === "ERROR" || systemClock.now() > limit) throw new Error(`the server is ${server.status}`);
    await sleep(systemClock, 20);
  }
}

/** What rules may compare with when a request is about one of the resources. */
export function ownedBy({ projectId, memberId }: People): PolicyTarget {
  return {
    project_id: projectId,
    user_id: memberId,
    owner: projectId,
    visibility: "shared",
    member_id: null,
    shared: false,
    "network:project_id": projectId,
    "network:shared": false,
    domain_id: "default",
    target: {
      domain_id: "default",
      user: { id: memberId, domain_id: "default" },
      project: { id: projectId, domain_id: "default" },
      domain: { id: "default" },
      group: { domain_id: "default" },
      role: { name: "reader", domain_id: null },
      token: { user_id: memberId },
      actor_domain_id: "default",
      scope_domain_id: "default",
    },
  };
}

/** What rules may compare with when somebody lists or makes things of their own. */
export function ownOf({ credentials }: Persona): PolicyTarget {
  const { projectId, userId, domainId } = credentials;
  return {
    ...ownedBy({ projectId, memberId: userId } as People),
    target: {
      domain_id: domainId,
      user: { id: userId, domain_id: domainId ?? "default" },
      project: { id: projectId, domain_id: domainId ?? "default" },
      domain: { id: domainId },
      group: { domain_id: domainId ?? "default" },
      role: { name: "reader", domain_id: null },
      token: { user_id: userId },
    },
  };
}
