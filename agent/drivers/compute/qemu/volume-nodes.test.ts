import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { GuestVolume } from "../../../protocol/compute.ts";
import type { Connection } from "../../../protocol/connection.ts";
import { volumeSlot } from "./pci-slots.ts";
import {
  connectionNames,
  connectionNode,
  connectionPrefix,
  inOrder,
  volumeDevice,
  volumeDisk,
  volumeNode,
  volumeOf,
} from "./volume-nodes.ts";

const unix: Connection = { kind: "unix", path: "/run/volumes/a.sock", export: "a" };
const inet: Connection = { kind: "inet", host: "192.0.2.7", port: 10809, export: "a" };
const volumeId = "0f8fad5b-d9cb-469f-a165-70867728950e";
const volume: GuestVolume = { volumeId, device: "/dev/vdb", connection: unix, readOnly: false, root: false };

test("QEMU takes the names of all nodes, and no two volumes share one", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.uuid({ version: 4 }), { minLength: 2, maxLength: 26 }), (ids) => {
      const names = ids.flatMap((id) => [volumeNode(id), ...connectionNames({ ...volume, volumeId: id })]);
      assert.equal(new Set(names).size, names.length);
      for (const name of names) assert.match(name, /^[a-z][0-9a-z-]{0,30}$/);
    }),
  );
});

test("a connection's name says whose it is and where it leads", () => {
  const names = connectionNames(volume);
  assert.deepEqual(connectionNames({ ...volume, device: "/dev/vdz" }), names);
  for (const other of [{ connection: inet }, { connection: { ...unix, export: "b" } }, { readOnly: true }]) {
    const others = connectionNames({ ...volume, ...other });
    assert.ok(others.every((name) => !names.includes(name) && name.startsWith(connectionPrefix(volumeId))));
  }
  assert.deepEqual(connectionNode({ ...volume, connection: inet }, "name").server, {
    type: "inet",
    host: "192.0.2.7",
    port: "10809",
  });
});

test("a device name has its own slot on the volumes' bus, and the disks are put in the order of the names", () => {
  const devices = Array.from({ length: 26 }, (_, i) => `/dev/vd${String.fromCharCode(97 + i)}`);
  assert.deepEqual(
    devices.map(volumeSlot),
    devices.map((_, i) => i + 1),
  );
  const [one, two] = ["/dev/vdc", "/dev/vdb"].map((device) => ({ ...volume, device })) as [GuestVolume, GuestVolume];
  assert.deepEqual(inOrder([one, two]), [two, one]);
});

test("a guest finds a volume by the first twenty characters of its id, and boots from the root volume", () => {
  const disk = volumeDisk(volume);
  assert.deepEqual([disk.serial, disk.bootindex, disk.bus], ["0f8fad5b-d9cb-469f-a", undefined, "volumes"]);
  const root = volumeDisk({ ...volume, root: true });
  assert.deepEqual([root.bootindex, root.bus], [1, undefined]);
  assert.equal(volumeOf(volumeDevice(volumeId)), volumeId);
  assert.deepEqual(["disk-root", "disk-config", "card-x"].map(volumeOf), [undefined, undefined, undefined]);
});
