/**
 * Exceptions to the rules of this folder, by rule and subject, each with its reason. Entries are only ever taken out: a test
 * fails when one is not needed any more.
 */
export const allowed: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "import cycle": {},
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
    "kernel/store/postgres-store.test.ts": "polls a condition, with a limit; stands in for a database that is slow",
    "services/compute/http/actions.test.ts": "polls a condition, with a limit",
    "services/identity/tokens/revocations.test.ts": "polls a condition, with a limit",
    "services/image/http/image-api.test.ts": "polls a condition, with a limit",
    "tests/contract/support/official-clients.ts": "polls a condition, with a limit",
  },
  "suppressed checks": {
    "kernel/http/testing/people-api.ts": "tests look into any body",
    "kernel/operations/definition.ts": "`{}` is the neutral element of an intersection",
    "kernel/operations/testing/recorded-operations.ts": "`{}` is the neutral element of an intersection",
    "tests/contract/support/cloud-servers.ts": "tests look into any body",
    "tests/contract/support/cloud-user.ts": "tests look into any body",
  },
  "service rooms": {},
  "policy rules": {
    "os_compute_api:os-attach-interfaces:other_project":
      "Nova's, so that policy files that name it load without a warning",
    "os_compute_api:flavors:all": "Nova's, so that policy files that name it load without a warning",
  },
  "error code kinds": {
    "agent.server_refused": "passes on what the server answered, of its kind",
    "cli.refused": "passes on what the server answered, of its kind",
  },
  packages: {
    "playwright-core": "drives the console's tests, which come with the console",
  },
  "file size": {},
};
