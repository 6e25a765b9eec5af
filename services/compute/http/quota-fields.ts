import { type TSchema, Type } from "typebox";
import { ApiVersion } from "../../../kernel/http/api-version.ts";
import { byVersion, type SchemasByVersion } from "../../../kernel/http/route.ts";
import { digits } from "../../../kernel/http/schemas.ts";
import type { QuotaResource, Quotas } from "../store/quotas.ts";

/** Which quotas each microversion knows, in quota sets and in classes of them. */

const KEPT = [
  "instances",
  "cores",
  "ram",
  "metadata_items",
  "key_pairs",
  "server_groups",
  "server_group_members",
] as const;
const UNTIL_2_56 = ["injected_files", "injected_file_content_bytes", "injected_file_path_bytes"] as const;
const UNTIL_2_35 = ["fixed_ips", "floating_ips", "security_groups", "security_group_rules"] as const;

const RESOURCES: readonly QuotaResource[] = [...KEPT, ...UNTIL_2_56, ...UNTIL_2_35];

const Value = Type.Optional(digits(-1, 0x7fff_ffff));

/** A schema per version, from what makes a body of the quotas that can be set in it. */
export function byQuotaVersion<S extends TSchema>(bodyOf: (fields: Record<string, TSchema>) => S): SchemasByVersion<S> {
  const body = (version: string) => {
    const names = knownQuotas(new ApiVersion(version));
    return bodyOf(Object.fromEntries(names.map((name) => [name, Value])));
  };
  return byVersion({ "2.1": body("2.1"), "2.36": body("2.36"), "2.57": body("2.57") });
}

/** The limits that a body of such fields asks for. */
export function askedLimits(set: Readonly<Record<string, unknown>>): Partial<Quotas> {
  const asked = RESOURCES.filter((name) => set[name] !== undefined);
  return Object.fromEntries(asked.map((name) => [name, Number(set[name])]));
}

/** The quotas that a version shows. */
export function visibleQuotas(version: ApiVersion, quotas: Quotas): Partial<Quotas> {
  return Object.fromEntries(knownQuotas(version).map((name) => [name, quotas[name]]));
}

function knownQuotas(version: ApiVersion): readonly QuotaResource[] {
  return [...KEPT, ...(version.below("2.57") ? UNTIL_2_56 : []), ...(version.below("2.36") ? UNTIL_2_35 : [])];
}
