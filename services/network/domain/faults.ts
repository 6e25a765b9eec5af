import { CloudError } from "../../../kernel/errors/cloud-error.ts";

/**
 * The service's errors. What stands after the dot of a code is, in Pascal case, the `type` that Neutron's clients know.
 */

export type Missing = "network" | "subnet" | "port" | "security_group" | "security_group_rule";

const TITLE: Readonly<Record<Missing, string>> = {
  network: "Network",
  subnet: "Subnet",
  port: "Port",
  security_group: "Security group",
  security_group_rule: "Security group rule",
};

export function missing(what: Missing, id: string): CloudError {
  return new CloudError("notFound", `network.${what}_not_found`, `${TITLE[what]} ${id} could not be found.`);
}

/** For Compute, where what a body names must exist. */
export function unknownTo(what: Missing, id: string): CloudError {
  return new CloudError("invalid", `network.unknown_${what}`, `${TITLE[what]} ${id} could not be found.`);
}

export const invalidInput = (message: string): CloudError =>
  new CloudError("invalid", "network.invalid_input", `Invalid input for operation: ${message}`);

export const addressTaken = (address: string, subnetId: string): CloudError =>
  new CloudError(
    "conflict",
    "network.ip_address_already_allocated",
    `IP address ${address} already allocated in subnet ${subnetId}.`,
  );

export const noMoreAddresses = (networkId: string): CloudError =>
  new CloudError(
    "conflict",
    "network.ip_address_generation_failure",
    `No more IP addresses available on network ${networkId}.`,
  );

export const macTaken = (mac: string, networkId: string): CloudError =>
  new CloudError(
    "conflict",
    "network.mac_address_in_use",
    `Unable to complete operation for network ${networkId}. The mac address ${mac} is in use.`,
  );
