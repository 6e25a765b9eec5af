import assert from "node:assert/strict";
import { test } from "node:test";
import type { Machine } from "./machine.ts";
import { CAPABILITIES, ensurePackages, missingPackages } from "./system-packages.ts";

const QEMU = ["qemu-system-x86", "qemu-utils", "qemu-system-common"];

/** A machine with every command of compute but QEMU's, whose apt knows what it is told to know. */
class FakeMachine implements Machine {
  readonly isRoot: boolean;
  readonly commands = new Set(["apt-get"]);
  readonly ran: string[] = [];
  startsForbidden = false;
  listsAreFresh = false;
  offline = false;

  constructor({ isRoot = true }: { isRoot?: boolean } = {}) {
    this.isRoot = isRoot;
    for (const { name, provides } of CAPABILITIES.compute.packages)
      if (!QEMU.includes(name)) for (const it of provides) this.commands.add(it);
  }

  has(it: string): boolean {
    return this.commands.has(it);
  }

  run(argv: readonly string[]): Promise<{ code: number; output: string }> {
    const verb = argv.find((word) => word === "update" || word === "install") ?? "?";
    this.ran.push(verb);
    assert.ok(this.startsForbidden, "services could start");
    if (this.offline) return Promise.resolve({ code: 100, output: "Ign:1\nE: Could not resolve 'deb.debian.org'\n" });
    if (verb === "update") this.listsAreFresh = true;
    else if (!this.listsAreFresh) return Promise.resolve({ code: 100, output: "E: Unable to locate package" });
    else this.#install(argv);
    return Promise.resolve({ code: 0, output: "" });
  }

  async withoutServiceStarts<T>(act: () => Promise<T>): Promise<T> {
    this.startsForbidden = true;
    return act().finally(() => (this.startsForbidden = false));
  }

  #install(argv: readonly string[]): void {
    assert.ok(argv.includes("-y") && argv.includes("--no-install-recommends"));
    for (const { name, provides } of CAPABILITIES.compute.packages)
      if (argv.includes(name)) for (const it of provides) this.commands.add(it);
  }
}

function ensure(machine: Machine, mayInstall = true) {
  const said: string[] = [];
  const result = ensurePackages({ capability: "compute", mayInstall, machine, say: (line) => said.push(line) });
  return result.then((it) => ({ ...it, said }));
}

test("what is there is left alone", async () => {
  const machine = new FakeMachine();
  for (const { provides } of CAPABILITIES.compute.packages) for (const it of provides) machine.commands.add(it);
  assert.deepEqual(await ensure(machine), { outcome: "present", said: [] });
  assert.deepEqual(machine.ran, []);
});

test("only missing packages are installed, with fresh lists, saying so", async () => {
  const machine = new FakeMachine();
  const { said, ...result } = await ensure(machine);
  assert.deepEqual(result, { outcome: "installed", packages: QEMU });
  assert.deepEqual(machine.ran, ["install", "update", "install"]);
  assert.match(said[0] ?? "", /real virtual machines: qemu-system-x86 qemu-utils qemu-system-common/);
  assert.equal(machine.startsForbidden, false);
});

test("lists that know the packages are not fetched again", async () => {
  const machine = new FakeMachine();
  machine.listsAreFresh = true;
  assert.equal((await ensure(machine)).outcome, "installed");
  assert.deepEqual(machine.ran, ["install"]);
});

test("without root, permission or apt, the command is told and what gets simulated", async () => {
  const told = {
    outcome: "missing",
    packages: QEMU,
    command: "sudo apt-get install -y --no-install-recommends qemu-system-x86 qemu-utils qemu-system-common",
    simulated: ["compute"],
    said: [],
  };
  const other = new FakeMachine();
  other.commands.delete("apt-get");
  assert.deepEqual(await ensure(new FakeMachine({ isRoot: false })), { ...told, reason: "only root may install" });
  assert.deepEqual(await ensure(new FakeMachine(), false), { ...told, reason: "installing was not allowed" });
  assert.deepEqual(await ensure(other), { ...told, reason: "this system has no apt-get" });
});

test("a failing apt is reported with its own words", async () => {
  const machine = new FakeMachine();
  machine.offline = true;
  const result = await ensure(machine);
  assert.ok(result.outcome === "missing");
  assert.equal(result.reason, "apt-get failed: E: Could not resolve 'deb.debian.org'");
  assert.deepEqual(machine.ran, ["install", "update"]);
});

test("a package counts as missing when any of its commands is", () => {
  const machine = new FakeMachine();
  machine.commands.add("qemu-img");
  assert.ok(missingPackages("compute", machine).includes("qemu-utils"));
  machine.commands.add("qemu-nbd");
  assert.ok(!missingPackages("compute", machine).includes("qemu-utils"));
});
