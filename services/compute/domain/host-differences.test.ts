import assert from "node:assert/strict";
import { test } from "node:test";
import type { GuestFacts, GuestPower } from "../../../agent/protocol/compute.ts";
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
const none = { off: [], left: [], unknown: [], unexpected: [] };

test("a host that runs what it should has no differences", () => {
  const servers = [server("a", "active"), server("p", "paused"), server("s", "stopped"), server("c", "stopped")];
  const guests = [guest("a", "running"), guest("p", "paused"), guest("s", "stopped"), guest("c", "crashed")];
  assert.deepEqual(hostDifferences({ servers, held: new Set() }, guests), none);
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
  assert.deepEqual(hostDifferences({ servers, held: new Set(["moved", "held"]) }, guests), {
    off: ["gone", "dead"],
    left: ["moved", "held"],
    unknown: ["stranger"],
    unexpected: ["on", "wakes"],
  });
});

test("what is being worked on is nobody else's business", () => {
  const servers = [server("a", "active", "migrating"), server("s", "stopped", "powering-on")];
  assert.deepEqual(hostDifferences({ servers, held: new Set() }, [guest("s", "running")]), none);
});

test("of a server in error, or one whose resize waits, nothing is expected", () => {
  const servers = [server("e", "error"), server("r", "resized"), server("b", "building")];
  const guests = servers.map(({ id }) => guest(id, "running"));
  assert.deepEqual(hostDifferences({ servers, held: new Set() }, guests), none);
});

test("only what is different both times counts", () => {
  const one = { off: ["a", "b"], left: ["c"], unknown: ["d"], unexpected: [] };
  const other = { off: ["b"], left: [], unknown: ["d", "e"], unexpected: ["b"] };
  assert.deepEqual(inBoth(one, other), { off: ["b"], left: [], unknown: ["d"], unexpected: [] });
});
