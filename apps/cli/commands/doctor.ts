import { resolve } from "node:path";
import { jsonFlag } from "../cloud/cloud-flags.ts";
import type { Command } from "../command.ts";
import { findingsText } from "../doctor/finding.ts";
import { checkDrivers, checkKvm, checkNamespaces, checkNode, checkPackages } from "../doctor/machine-checks.ts";
import { checkState } from "../doctor/state-checks.ts";
import { localMachine } from "../machine.ts";

export const doctorCommand: Command = {
  flags: {
    state: { type: "string", value: "DIR", default: "./.pileus", help: "State folder to look at." },
    ...jsonFlag,
  },
  notes:
    "Changes nothing. Exit code 0: real virtual machines can run here; 1: they cannot, and the advice says why.\nSimulated hosts need none of this.",
  async run(args) {
    const stateDir = resolve(args.text("state") ?? "./.pileus");
    const machine = localMachine(process.env);
    const findings = [
      checkNode(),
      ...checkPackages(machine),
      ...(await checkDrivers(machine)),
      await checkNamespaces(),
      await checkKvm(stateDir),
      await checkState(stateDir),
    ];
    const healthy = findings.every(({ level }) => level !== "problem");
    const text = args.has("json") ? `${JSON.stringify({ healthy, findings }, null, 2)}\n` : findingsText(findings);
    process.stdout.write(text);
    return healthy ? 0 : 1;
  },
};
