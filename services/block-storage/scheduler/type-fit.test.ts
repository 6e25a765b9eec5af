import assert from "node:assert/strict";
import { test } from "node:test";
import type { VolumeTypeRow } from "../store/tables.ts";
import { meets, poolFitsType } from "./type-fit.ts";

const capabilities = {
  volume_backend_name: "fast",
  replication_enabled: true,
  free_capacity_gb: 50,
  QoS_support: false,
};

function type(specs: Record<string, string>): VolumeTypeRow {
  const common = {
    id: "t",
    name: "t",
    description: null,
    is_public: 1,
    qos_specs_id: null,
    created_at: 0,
    updated_at: null,
  };
  return { ...common, extra_specs: JSON.stringify(specs) };
}

test("a pool fits when it has all that the scheduler is asked for", () => {
  const fits = (specs: Record<string, string>) => poolFitsType(capabilities, type(specs));
  assert.ok(fits({}));
  assert.ok(fits({ volume_backend_name: "fast", replication_enabled: "<is> True" }));
  assert.ok(fits({ "capabilities:free_capacity_gb": ">= 50", "vendor:setting": "whatever" }));
  assert.ok(!fits({ volume_backend_name: "slow" }));
  assert.ok(!fits({ QoS_support: "<is> True" }));
  assert.ok(!fits({ nonsense: "x" }));
});

test("operators", () => {
  assert.ok(meets(true, "<is> True") && meets(undefined, "<is> False") && !meets(false, "<is> True"));
  assert.ok(meets(["a", "b"], "<in> b") && meets("abc", "<in> b") && !meets(["a"], "<in> b"));
  assert.ok(meets("nfs", "<or> nbd <or> nfs") && !meets("nfs", "<or> nbd"));
  assert.ok(meets(5, "= 5") && meets(6, ">= 5") && meets(4, "<= 5") && meets(5, "== 5") && meets(4, "!= 5"));
  assert.ok(!meets("many", ">= 5") && !meets(5, ">= many"));
  assert.ok(meets("a", "s== a") && meets("a", "s!= b") && meets("Fast", "fast"));
});
