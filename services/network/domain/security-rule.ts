import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { invalidInput } from "./faults.ts";
import { formatCidr, parseCidr } from "./ip.ts";

/** What makes two rules of a group the same. */
export interface RuleMatch {
  readonly direction: "ingress" | "egress";
  readonly ethertype: "IPv4" | "IPv6";
  readonly protocol: string | null;
  readonly port_range_min: number | null;
  readonly port_range_max: number | null;
  readonly remote_ip_prefix: string | null;
  readonly remote_group_id: string | null;
}

const WITH_PORTS = new Set(["tcp", "udp", "udplite", "sctp", "dccp", "6", "17", "33", "132", "136"]);
const ICMP = new Set(["icmp", "ipv6-icmp", "icmpv6", "1", "58"]);
const OTHERS = new Set(["ah", "dccp", "egp", "esp", "gre", "hopopt", "igmp", "ip", "ipip", "ipv6-encap", "ipv6-frag"]);
const MORE = new Set(["ipv6-nonxt", "ipv6-opts", "ipv6-route", "ospf", "pgm", "rsvp", "vrrp"]);

/** The rule in canonical form. Throws `invalid` with the codes of Neutron's refusals. */
export function checkedRule(rule: RuleMatch): RuleMatch {
  const protocol = checkedProtocol(rule.protocol);
  if (rule.remote_group_id !== null && rule.remote_ip_prefix !== null) {
    throw refused("remote_group_and_remote_ip_prefix", "Only remote_ip_prefix or remote_group_id may be provided.");
  }
  checkPorts(protocol, rule.port_range_min, rule.port_range_max);
  return { ...rule, protocol, remote_ip_prefix: checkedPrefix(rule.ethertype, rule.remote_ip_prefix) };
}

function checkedProtocol(protocol: string | null): string | null {
  if (protocol === null) return null;
  const name = protocol.toLowerCase();
  if (name === "any") return null;
  const known = [WITH_PORTS, ICMP, OTHERS, MORE].some((names) => names.has(name));
  if (known || (/^\d{1,3}$/.test(name) && Number(name) <= 255)) return name;
  throw new CloudError(
    "invalid",
    "network.security_group_rule_invalid_protocol",
    `Security group rule protocol ${protocol} not supported.`,
  );
}

function checkPorts(protocol: string | null, min: number | null, max: number | null): void {
  if (min === null && max === null) return;
  if (protocol !== null && ICMP.has(protocol)) {
    for (const value of [min, max])
      if (value !== null && value > 255) throw invalidInput(`ICMP value ${value} is above 255.`);
    if (min === null) throw refused("missing_icmp_type", "An ICMP code needs a type (port_range_min).");
    return;
  }
  if (protocol === null || !WITH_PORTS.has(protocol)) {
    throw refused("protocol_required_with_ports", "Must also specify protocol if port range is given.");
  }
  if (min === null || max === null || min > max || min < 1) {
    throw new CloudError(
      "invalid",
      "network.security_group_invalid_port_range",
      "For TCP/UDP protocols, port_range_min must be <= port_range_max.",
    );
  }
}

function checkedPrefix(ethertype: "IPv4" | "IPv6", prefix: string | null): string | null {
  if (prefix === null) return null;
  const full = prefix.includes("/") ? prefix : `${prefix}/${prefix.includes(":") ? 128 : 32}`;
  const cidr = parseCidr(full);
  if (!cidr) throw invalidInput(`'${prefix}' is not a valid remote_ip_prefix.`);
  if (`IPv${cidr.version}` === ethertype) return formatCidr(cidr);
  throw refused("parameter_conflict", `Conflicting value ethertype ${ethertype} for CIDR ${prefix}.`);
}

function refused(reason: string, message: string): CloudError {
  return new CloudError("invalid", `network.security_group_rule_${reason}`, message);
}
