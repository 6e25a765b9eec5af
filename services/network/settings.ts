import type { Clock } from "../../kernel/clock/clock.ts";
import type { IdSource } from "../../kernel/ids/ids.ts";

/** Resources that a project may have only so many of; −1 is without limit. */
export const QUOTA_RESOURCES = ["network", "subnet", "port", "security_group", "security_group_rule"] as const;
export type QuotaResource = (typeof QUOTA_RESOURCES)[number];
export type Quotas = Readonly<Record<QuotaResource, number>>;

/** What the store and the rules of this service are built on. */
export interface NetworkContext {
  readonly clock: Clock;
  readonly ids: IdSource;
  /** Bytes; of new networks that ask for none. */
  readonly mtu: number;
  readonly quotas: Quotas;
}

/** Room for VXLAN's headers in a frame of 1500 bytes. */
export const DEFAULT_MTU = 1450;

/** Neutron's. */
export const DEFAULT_QUOTAS: Quotas = {
  network: 100,
  subnet: 100,
  port: 500,
  security_group: 10,
  security_group_rule: 100,
};
