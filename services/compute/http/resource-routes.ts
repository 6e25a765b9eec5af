import type { Route } from "../../../kernel/http/route.ts";
import { aggregateRoutes } from "./aggregates.ts";
import { availabilityZoneRoutes } from "./availability-zones.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { flavorAccessRoutes } from "./flavor-access.ts";
import { flavorExtraSpecRoutes } from "./flavor-extra-specs.ts";
import { flavorRoutes } from "./flavors.ts";
import { hypervisorRoutes } from "./hypervisors.ts";
import { keypairRoutes } from "./keypairs.ts";
import { serviceRoutes } from "./services.ts";

/** Everything around servers: what they are made of, what limits them, and where they run. */
export function resourceRoutes(deps: FaceDependencies): Route[] {
  return [
    ...flavorRoutes(deps),
    ...flavorExtraSpecRoutes(deps),
    ...flavorAccessRoutes(deps),
    ...keypairRoutes(deps),
    ...serviceRoutes(deps),
    ...hypervisorRoutes(deps),
    ...availabilityZoneRoutes(deps),
    ...aggregateRoutes(),
  ];
}
