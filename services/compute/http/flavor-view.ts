import type { Urls } from "../../../kernel/http/urls.ts";
import { versionSteps } from "../../../kernel/http/version-steps.ts";
import { extraSpecsOf } from "../store/flavors.ts";
import type { FlavorRow } from "../store/tables.ts";

type Json = Record<string, unknown>;

/** A flavor in lists without details. */
export function flavorSummary(row: FlavorRow, urls: Urls) {
  return { id: row.id, name: row.name, links: linksOf(row, urls), description: row.description };
}

export interface FlavorAnswer {
  readonly row: FlavorRow;
  readonly flavor: Json;
}

/** The newest shape. `withExtraSpecs`: the caller may know them. */
export function flavorAnswer(row: FlavorRow, urls: Urls, withExtraSpecs: boolean): FlavorAnswer {
  const flavor: Json = {
    ...flavorSummary(row, urls),
    ram: row.ram_mib,
    vcpus: row.vcpus,
    disk: row.disk_gib,
    swap: row.swap_mib,
    "OS-FLV-EXT-DATA:ephemeral": row.ephemeral_gib,
    "os-flavor-access:is_public": row.is_public === 1,
    ...(withExtraSpecs ? { extra_specs: extraSpecsOf(row) } : {}),
  };
  return { row, flavor };
}

/** Each microversion that changed how a flavor looks. */
export const flavorVersions = versionSteps<FlavorAnswer>([
  {
    since: "2.55",
    name: "description",
    down({ flavor }) {
      delete flavor.description;
    },
  },
  {
    since: "2.61",
    name: "extra specs",
    down({ flavor }) {
      delete flavor.extra_specs;
    },
  },
  {
    since: "2.75",
    name: "no swap is 0 instead of an empty text",
    down({ flavor, row }) {
      if (row.swap_mib === 0) flavor.swap = "";
    },
  },
  {
    since: "2.102",
    name: "rxtx_factor and disabled are gone",
    down({ flavor, row }) {
      flavor.rxtx_factor = row.rxtx_factor;
      flavor["OS-FLV-DISABLED:disabled"] = row.disabled === 1;
    },
  },
]);

function linksOf(row: FlavorRow, urls: Urls): Json[] {
  const path = `/flavors/${encodeURIComponent(row.id)}`;
  return [
    { rel: "self", href: urls.self(path) },
    { rel: "bookmark", href: urls.bookmark(path) },
  ];
}
