import type { Route } from "../../kernel/http/route.ts";
import type { KernelServices, ServiceManifest } from "../../kernel/service/manifest.ts";
import { extensionRoutes } from "./http/extensions.ts";
import { networkFace } from "./http/face.ts";
import { infrastructureRoutes } from "./http/infrastructure.ts";
import { networkRoutes } from "./http/networks.ts";
import { portRoutes } from "./http/ports.ts";
import { quotaRoutes } from "./http/quotas.ts";
import { securityGroupRuleRoutes } from "./http/security-group-rules.ts";
import { securityGroupRoutes } from "./http/security-groups.ts";
import { subnetRoutes } from "./http/subnets.ts";
import { tagRoutes } from "./http/tags.ts";
import { versionRoutes } from "./http/versions.ts";
import { networkPolicies } from "./policies.ts";
import type { NetworkPublic } from "./public.ts";
import { type DefaultNetwork, ensureDefaultNetwork } from "./seed.ts";
import { ServerPorts } from "./server-ports.ts";
import { DEFAULT_MTU, DEFAULT_QUOTAS, type NetworkContext, type Quotas } from "./settings.ts";
import { type NetworkRow, networkMigrations } from "./store/tables.ts";

export interface NetworkOptions {
  /** Bytes; of new networks that ask for none. 1450 when absent. */
  readonly mtu?: number;
  /** Differences from Neutron's defaults; −1 is without limit. */
  readonly quotas?: Partial<Quotas>;
}

export interface NetworkService {
  readonly manifest: ServiceManifest;
  readonly public: NetworkPublic;
  /** The shared network of a new cloud; kept when it is there. */
  ensureDefaultNetwork(wanted: DefaultNetwork): Promise<NetworkRow>;
}

type Kernel = Pick<KernelServices, "store" | "clock" | "ids">;

export function createNetworkService(kernel: Kernel, options: NetworkOptions = {}): NetworkService {
  const { store, clock, ids } = kernel;
  const context: NetworkContext = {
    clock,
    ids,
    mtu: options.mtu ?? DEFAULT_MTU,
    quotas: { ...DEFAULT_QUOTAS, ...options.quotas },
  };
  const routes: Route[] = [
    ...versionRoutes,
    ...extensionRoutes,
    ...infrastructureRoutes,
    ...networkRoutes(store, context),
    ...subnetRoutes(store, context),
    ...portRoutes(store, context),
    ...securityGroupRoutes(store, context),
    ...securityGroupRuleRoutes(store, context),
    ...tagRoutes(store),
    ...quotaRoutes(store, context),
  ];
  return {
    manifest: {
      name: "network",
      migrations: networkMigrations,
      policies: networkPolicies,
      faces: [{ face: networkFace, routes }],
      operations: [],
      reconcilers: [],
    },
    public: new ServerPorts(context),
    ensureDefaultNetwork: (wanted) => ensureDefaultNetwork(store, context, wanted),
  };
}
