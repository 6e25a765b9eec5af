import type { Route } from "../../../kernel/http/route.ts";
import { aggregateRoutes } from "./aggregates.ts";
import { availabilityZoneRoutes } from "./availability-zones.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { extensionRoutes } from "./extensions.ts";
import { flavorAccessRoutes } from "./flavor-access.ts";
import { flavorExtraSpecRoutes } from "./flavor-extra-specs.ts";
import { flavorRoutes } from "./flavors.ts";
import { hostRoutes } from "./hosts.ts";
import { hypervisorRoutes } from "./hypervisors.ts";
import { keypairRoutes } from "./keypairs.ts";
import { limitRoutes } from "./limits.ts";
import { quotaClassSetRoutes } from "./quota-class-sets.ts";
import { quotaSetRoutes } from "./quota-sets.ts";
import { serverGroupRoutes } from "./server-groups.ts";
import { serviceRoutes } from "./services.ts";
import { simpleTenantUsageRoutes } from "./simple-tenant-usage.ts";

/** Everything around servers: what they are made of, what limits them, and where they run. */
export function resourceRoutes(deps: FaceDependencies): Route[] {
  return [
    ...flavorRoutes(deps),
    ...flavorExtraSpecRoutes(deps),
    ...flavorAccessRoutes(deps),
    ...keypairRoutes(deps),
    ...limitRoutes(deps),
    ...quotaSetRoutes(deps),
    ...quotaClassSetRoutes(deps),
    ...serverGroupRoutes(deps),
    ...simpleTenantUsageRoutes(deps),
    ...serviceRoutes(deps),
    ...hypervisorRoutes(deps),
    ...hostRoutes(deps),
    ...availabilityZoneRoutes(deps),
    ...aggregateRoutes(deps),
    ...extensionRoutes(),
  ];
}
