import type { Clock } from "../../../../kernel/clock/clock.ts";
import type { IdSource } from "../../../../kernel/ids/ids.ts";
import type { Logger } from "../../../../kernel/log/logger.ts";

/** Where second copies of volumes live: an array of its own. */
export interface ReplicationTarget {
  id: string;
  directory: string;
}

export interface FileNbdOptions {
  /** Name of this host. */
  host: string;
  /** Name of the backend on this host. */
  backend: string;
  /** `pileus@shared` when other hosts work on the same `directory`; null when this one is alone. */
  cluster: string | null;
  directory: string;
  capacityGiB: number;
  reservedPercent: number;
  replicationTargets: readonly ReplicationTarget[];
  /** Short folder that all hosts of this machine share: volumes' addresses, sockets of what serves them. */
  runDir: string;
  /** Of this host, apart from the arrays' disks, and there after a start of the machine: which arrays it has seen. */
  stateDir: string;
  clock: Clock;
  ids: IdSource;
  log: Logger;
}
