import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { planSubnet } from "./subnet-plan.ts";

test("gateway and pools by default", () => {
  const cases = [
    { cidr: "10.0.0.0/24", gateway: "10.0.0.1", pools: [["10.0.0.2", "10.0.0.254"]] },
    { cidr: "10.0.0.0/30", gateway: "10.0.0.1", pools: [["10.0.0.2", "10.0.0.2"]] },
    { cidr: "10.0.0.0/31", gateway: "10.0.0.1", pools: [["10.0.0.0", "10.0.0.0"]] },
    { cidr: "10.0.0.7/32", gateway: null, pools: [["10.0.0.7", "10.0.0.7"]] },
    { cidr: "fd00::/64", gateway: "fd00::1", pools: [["fd00::2", "fd00::ffff:ffff:ffff:ffff"]] },
  ];
  for (const { cidr, gateway, pools } of cases) {
    const plan = planSubnet({ cidr });
    assert.equal(plan.gatewayIp, gateway, cidr);
    assert.deepEqual(
      plan.pools.map(({ start, end }) => [start, end]),
      pools,
      cidr,
    );
  }
  const split = planSubnet({ cidr: "10.0.0.0/29", gatewayIp: "10.0.0.3" });
  assert.deepEqual(split.pools, [
    { start: "10.0.0.1", end: "10.0.0.2" },
    { start: "10.0.0.4", end: "10.0.0.6" },
  ]);
});

test("what contradicts itself is refused", () => {
  const cidr = "10.0.0.0/24";
  const pool = (start: string, end: string) => ({ start: `10.0.0.${start}`, end: `10.0.0.${end}` });
  const cases = [
    { code: "network.overlapping_allocation_pools", request: { cidr, pools: [pool("10", "20"), pool("5", "10")] } },
    { code: "network.out_of_bounds_allocation_pool", request: { cidr, pools: [pool("10", "255")] } },
    { code: "network.invalid_allocation_pool", request: { cidr, pools: [pool("10", "9")] } },
    { code: "network.gateway_conflict_with_allocation_pools", request: { cidr, pools: [pool("1", "9")] } },
    { code: "network.gateway_ip_invalid", request: { cidr, gatewayIp: "10.0.0.0" } },
    { code: "network.invalid_input", request: { cidr, dnsNameservers: ["dns.example"] } },
    {
      code: "network.invalid_input",
      request: { cidr, hostRoutes: [{ destination: "fd00::/8", nexthop: "10.0.0.9" }] },
    },
  ];
  for (const { code, request } of cases) {
    assert.throws(
      () => planSubnet(request),
      (error) => error instanceof CloudError && error.code === code,
      code,
    );
  }
});
