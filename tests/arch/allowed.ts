/**
 * Exceptions to the rules of this folder, by rule and subject, each with its reason. Entries are only ever taken out: a test
 * fails when one is not needed any more.
 */
export const allowed: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "import cycle": {
    "services/compute/operations/testing/given.ts": "the world of the matrices builds its own factory of servers",
  },
  chance: {
    "apps/agent/program.ts": "hands chance in, for the jitter of polling",
    "apps/server/simulation.ts": "hands chance in, for the jitter of polling",
    "services/compute/domain/ssh-keys.ts": "check bytes inside a private key file, where any number does",
  },
  environment: {
    "agent/process/run-command.ts": "children inherit the environment, with additions",
  },
  "child processes": {
    "agent/process/run-command.ts": "the one place that runs commands",
    "agent/drivers/compute/qemu/kvm-probe.ts": "kills what hangs in the kernel, which run-command.ts would wait for",
  },
  "waits for a time": {
    "kernel/operations/testing/fault-run.ts": "the limit of a wait, so that a hang is reported as one",
    "services/compute/http/actions.test.ts": "polls a condition, with a limit",
    "services/identity/tokens/revocations.test.ts": "polls a condition, with a limit",
    "services/image/http/image-api.test.ts": "polls a condition, with a limit",
    "tests/contract/support/official-clients.ts": "polls a condition, with a limit",
  },
  "suppressed checks": {
    "kernel/operations/definition.ts": "`{}` is the neutral element of an intersection",
    "kernel/operations/testing/recorded-operations.ts": "`{}` is the neutral element of an intersection",
    "services/compute/testing/compute-world.ts": "tests look into any body",
    "tests/contract/support/cloud-servers.ts": "tests look into any body",
    "tests/contract/support/cloud-user.ts": "tests look into any body",
  },
  "service rooms": {
    "services/compute": "its README is being written",
  },
  packages: {
    "playwright-core": "drives the console's tests, which come with the console",
  },
  "file size": {
    "kernel/fleet/commands.ts": "delivery, results and questions of commands share one book of what is in flight",
  },
};
