import type { ApiRequest } from "../../../kernel/http/request.ts";
import { optionalMicros } from "../domain/times.ts";
import type {
  AccessRuleRow,
  ApplicationCredentialRow,
  EndpointRow,
  GroupRow,
  ProjectRow,
  RegionRow,
  RoleRow,
  ServiceRow,
  UserRow,
} from "../store/tables.ts";
import { jsonObject } from "./members.ts";

type Linker = Pick<ApiRequest, "urls">;

/** What every kind has: what clients stored besides, the id and the way to itself. */
function resource<Fields extends object>(
  request: Linker,
  collection: string,
  row: { readonly id: string; readonly extra: string },
  fields: Fields,
) {
  const self = links(request, `/${collection}/${encodeURIComponent(row.id)}`);
  return { ...jsonObject(row.extra), id: row.id, ...fields, ...self };
}

const links = (request: Linker, path: string) => ({ links: { self: request.urls.self(path) } });

export function projectView(request: Linker, row: ProjectRow, tags: readonly string[]) {
  return resource(request, "projects", row, {
    name: row.name,
    domain_id: row.domain_id,
    parent_id: row.parent_id,
    description: row.description,
    enabled: row.enabled === 1,
    is_domain: row.is_domain === 1,
    tags,
    options: jsonObject(row.options),
  });
}

export function domainView(request: Linker, row: ProjectRow, tags: readonly string[]) {
  return resource(request, "domains", row, {
    name: row.name,
    description: row.description,
    enabled: row.enabled === 1,
    tags,
    options: jsonObject(row.options),
  });
}

export function userView(request: Linker, row: UserRow) {
  return resource(request, "users", row, {
    name: row.name,
    domain_id: row.domain_id,
    ...(row.default_project_id === null ? {} : { default_project_id: row.default_project_id }),
    enabled: row.enabled === 1,
    password_expires_at: optionalMicros(row.password_expires_at),
    options: jsonObject(row.options),
  });
}

export function groupView(request: Linker, row: GroupRow) {
  return resource(request, "groups", row, {
    name: row.name,
    domain_id: row.domain_id,
    description: row.description,
  });
}

export function roleView(request: Linker, row: RoleRow) {
  return resource(request, "roles", row, {
    name: row.name,
    domain_id: row.domain_id,
    description: row.description,
    options: jsonObject(row.options),
  });
}

export function serviceView(request: Linker, row: ServiceRow) {
  return resource(request, "services", row, {
    type: row.type,
    name: row.name ?? "",
    ...(row.description === null ? {} : { description: row.description }),
    enabled: row.enabled === 1,
  });
}

export function endpointView(request: Linker, row: EndpointRow) {
  return resource(request, "endpoints", row, {
    service_id: row.service_id,
    interface: row.interface,
    url: row.url,
    region: row.region_id,
    region_id: row.region_id,
    enabled: row.enabled === 1,
    ...(row.name === null ? {} : { name: row.name }),
  });
}

export function regionView(request: Linker, row: RegionRow) {
  return resource(request, "regions", row, {
    description: row.description,
    parent_region_id: row.parent_region_id,
  });
}

/** The rules are absent when there are none, as clients take an empty list for "nothing is allowed". */
export function credentialView(
  request: Linker,
  row: ApplicationCredentialRow,
  parts: { readonly roles: readonly RoleRow[]; readonly rules: readonly AccessRuleRow[] },
) {
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    project_id: row.project_id,
    roles: parts.roles.map(({ id, name, domain_id }) => ({ id, name, domain_id })),
    expires_at: optionalMicros(row.expires_at),
    unrestricted: row.unrestricted === 1,
    ...(parts.rules.length === 0 ? {} : { access_rules: parts.rules.map(ruleFields) }),
    ...links(request, `/users/${row.user_id}/application_credentials/${row.id}`),
  };
}

export function accessRuleView(request: Linker, row: AccessRuleRow) {
  return { ...ruleFields(row), ...links(request, `/users/${row.user_id}/access_rules/${row.id}`) };
}

function ruleFields({ id, path, method, service }: AccessRuleRow) {
  return { id, path, method, service };
}
