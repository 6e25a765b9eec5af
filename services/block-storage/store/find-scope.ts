import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { isUp } from "../../../kernel/fleet/services.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { BlockStorageDependencies } from "../dependencies.ts";
import { lockScope, type Scope } from "./backends.ts";
import { listVolumeServices, VOLUME_BINARY, type VolumeService } from "./services.ts";

/** What freeze, thaw and failover are asked about. Exactly one must be given; empty texts count as nothing. */
export interface ScopeRequest {
  readonly host?: string | null | undefined;
  readonly cluster?: string | null | undefined;
}

export interface FoundScope extends Scope {
  /** All services of it: one, or the members of the cluster. */
  readonly services: readonly VolumeService[];
  /** The one that the request was about, or of a cluster the first that lives. */
  readonly named: VolumeService;
  /** Somebody lives who can act. */
  readonly up: boolean;
}

/**
 * The one backend or cluster that is meant, locked until the transaction ends. A host that is a member stands for its
 * cluster. Throws `invalid` (OpenStack answers 400, not 404) when there is none, or more than one.
 */
export async function findScope(
  t: Tx,
  deps: Pick<BlockStorageDependencies, "kernel" | "fleet">,
  request: ScopeRequest,
): Promise<FoundScope> {
  const host = request.host || undefined;
  const cluster = request.cluster || undefined;
  if ((host === undefined) === (cluster === undefined)) {
    throw new CloudError("invalid", "block-storage.host_or_cluster", "Either a host or a cluster must be given.");
  }
  const found = await listVolumeServices(t, { host, cluster, binary: VOLUME_BINARY });
  const [first, ...others] = found;
  if (!first) {
    throw new CloudError("invalid", "block-storage.no_such_backend", `No backend matches ${host ?? cluster}.`);
  }
  const nameOf = ({ record }: VolumeService) => (host === undefined ? record.cluster : record.host);
  if (others.some((other) => nameOf(other) !== nameOf(first))) {
    throw new CloudError(
      "invalid",
      "block-storage.several_backends",
      `More than one backend matches ${host ?? cluster}; name one as node@backend.`,
    );
  }
  const name = first.record.cluster ?? first.record.host;
  const scope = await lockScope(t, name);
  if (!scope) {
    throw new CloudError("invalid", "block-storage.no_such_backend", `No backend matches ${host ?? cluster}.`);
  }
  const services = scope.cluster ? await listVolumeServices(t, { cluster: name, binary: VOLUME_BINARY }) : [first];
  const living = services.filter(({ record }) => isUp(record, deps.kernel.clock.now(), deps.fleet));
  return {
    ...scope,
    services,
    named: host === undefined ? (living[0] ?? first) : first,
    up: living.length > 0,
  };
}
