import type { CommandEntry } from "./command.ts";

/** Every command, in the order of the help. Each is loaded when it is called: most of them need no server and no driver. */
export const commands: readonly CommandEntry[] = [
  {
    name: "up",
    summary: "Start a cloud on this machine: server and three hosts (what 'npm start' does).",
    load: async () => (await import("./commands/up.ts")).upCommand,
  },
  {
    name: "doctor",
    summary: "Tell what this machine can do: packages, drivers, namespaces, KVM.",
    load: async () => (await import("./commands/doctor.ts")).doctorCommand,
  },
  {
    name: "server",
    summary: "Run the control plane only: all APIs and their operations.",
    load: async () => (await import("./commands/server.ts")).serverCommand,
  },
  {
    name: "agent",
    summary: "Run the agent of this host: joins a cloud and runs its workloads.",
    load: async () => (await import("./commands/agent.ts")).agentCommand,
  },
  {
    name: "hosts list",
    summary: "List the hosts of a cloud and what they provide.",
    load: async () => (await import("./commands/hosts.ts")).hostsListCommand,
  },
  {
    name: "hosts token",
    summary: "Make the one-time token with which a host joins.",
    load: async () => (await import("./commands/hosts.ts")).hostsTokenCommand,
  },
  {
    name: "operations list",
    summary: "List operations, newest first.",
    load: async () => (await import("./commands/operations.ts")).operationsListCommand,
  },
  {
    name: "operations show",
    summary: "Show an operation with its steps.",
    load: async () => (await import("./commands/operations.ts")).operationsShowCommand,
  },
  {
    name: "operations watch",
    summary: "Follow one operation to its end, or all operations, live.",
    load: async () => (await import("./commands/operations-watch.ts")).operationsWatchCommand,
  },
  {
    name: "operations cancel",
    summary: "Ask an operation to undo itself.",
    load: async () => (await import("./commands/operations.ts")).operationsCancelCommand,
  },
  {
    name: "operations retry",
    summary: "Try a stuck operation again at once.",
    load: async () => (await import("./commands/operations.ts")).operationsRetryCommand,
  },
];
