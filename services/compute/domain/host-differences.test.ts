import assert from "node:assert/strict";
import { test } from "node:test";
import type { GuestFacts, GuestPower } from "../../../agent/protocol/compute.ts";
import type { DeviceOfServer } from "./disk-differences.ts";
import { hostDifferences, inBoth } from "./host-differences.ts";
import type { TaskState, VmState } from "./server-state.ts";

const guest = (serverId: string, power: GuestPower): GuestFacts => ({
  serverId,
  power,
  vcpus: 1,
  ramMiB: 512,
  diskStorage: "local",
  volumeIds: [],
  portIds: [],
});
const server = (id: string, vm_state: VmState, task_state: TaskState | null = null) => ({ id, vm_state, task_state });
const none = { off: [], left: [], unknown: [], unexpected: [], lacks: [], extra: [] };

test("a host that runs what it should has no differences", () => {
  const servers = [server("a", "active"), server("p", "paused"), server("s", "stopped"), server("c", "stopped")];
  const guests = [guest("a", "running"), guest("p", "paused"), guest("s", "stopped"), guest("c", "crashed")];
  assert.deepEqual(hostDifferences({ servers, devices: [], held: new Set() }, guests), none);
});

test("guests that are off, gone, left behind, unknown or on without reason are told apart", () => {
  const servers = [
    server("gone", "active"),
    server("dead", "paused"),
    server("on", "stopped"),
    server("wakes", "paused"),
  ];
  const guests = [
    guest("dead", "crashed"),
    guest("on", "running"),
    guest("wakes", "running"),
    guest("stranger", "stopped"),
    guest("moved", "moved"),
  ];
  assert.deepEqual(hostDifferences({ servers, devices: [], held: new Set(["moved", "held"]) }, guests), {
    off: ["gone", "dead"],
    left: ["moved", "held"],
    unknown: ["stranger"],
    unexpected: ["on", "wakes"],
    lacks: [],
    extra: [],
  });
});

test("what is being worked on is nobody else's business", () => {
  const servers = [server("a", "active", "migrating"), server("s", "stopped", "powering-on")];
  assert.deepEqual(hostDifferences({ servers, devices: [], held: new Set() }, [guest("s", "running")]), none);
});

test("of a server in error, or one whose resize waits, nothing is expected", () => {
  const servers = [server("e", "error"), server("r", "resized"), server("b", "building")];
  const guests = servers.map(({ id }) => guest(id, "running"));
  assert.deepEqual(hostDifferences({ servers, devices: [], held: new Set() }, guests), none);
});

test("disks that a guest lacks, and has too much, are told apart", () => {
  const device = (server_id: string, volume_id: string, more: Partial<DeviceOfServer> = {}) => ({
    server_id,
    volume_id,
    state: "present" as const,
    boot_index: null,
    ...more,
  });
  const has = (id: string, power: GuestPower, ...volumeIds: string[]) => ({ ...guest(id, power), volumeIds });
  const servers = [
    server("lacks", "active"),
    server("extra", "paused"),
    server("root", "active"),
    server("leaving", "active"),
    server("reserved", "active"),
    server("moves", "active", "migrating"),
    server("off", "stopped"),
    server("dead", "active"),
  ];
  const devices = [
    ...[device("lacks", "v1"), device("lacks", "v2"), device("root", "v3", { boot_index: 0 })],
    ...[device("leaving", "v4", { state: "leaving" }), device("reserved", "v5", { state: "reserved" })],
    ...[device("moves", "v6"), device("off", "v7"), device("dead", "v8")],
  ];
  const guests = [
    ...[has("lacks", "running", "v1"), has("extra", "paused", "v9"), has("root", "running")],
    ...[has("leaving", "running"), has("reserved", "running", "v5"), has("moves", "running")],
    ...[has("off", "stopped"), has("dead", "crashed")],
  ];
  const { lacks, extra } = hostDifferences({ servers, devices, held: new Set() }, guests);
  assert.deepEqual(lacks, [{ serverId: "lacks", volumeId: "v2" }]);
  assert.deepEqual(extra, [{ serverId: "extra", volumeId: "v9" }]);
});

test("only what is different both times counts", () => {
  const [one, two] = [
    { serverId: "a", volumeId: "v1" },
    { serverId: "a", volumeId: "v2" },
  ];
  const before = { off: ["a", "b"], left: ["c"], unknown: ["d"], unexpected: [], lacks: [one, two], extra: [one] };
  const after = { off: ["b"], left: [], unknown: ["d", "e"], unexpected: ["b"], lacks: [{ ...two }], extra: [] };
  const both = { off: ["b"], left: [], unknown: ["d"], unexpected: [], lacks: [two], extra: [] };
  assert.deepEqual(inBoth(before, after), both);
});
