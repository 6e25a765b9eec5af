import { resolve } from "node:path";
import type { AgentSettings } from "../../agent/settings.ts";
import { dropSecrets } from "../../secret-environment.ts";
import { type Command, type ParsedArguments, usageError } from "../command.ts";
import { logLevel } from "../server-flags.ts";
import { untilInputEnds } from "../until-input-ends.ts";
import { untilStopped } from "../until-stopped.ts";

const ACCELERATORS = ["auto", "kvm", "tcg"] as const;

/** The agent of one host. */
export const agentCommand: Command = {
  flags: {
    host: { type: "string", value: "NAME", help: "Name of this host in the cloud (required)." },
    server: { type: "string", value: "URL", default: "http://127.0.0.1:5000", help: "Address of the control plane." },
    "ca-file": { type: "string", value: "FILE", help: "PEM authority behind the server's certificate." },
    "join-token-file": {
      type: "string",
      value: "FILE",
      help: "File with the one-time token from 'pileus hosts token'; removed once used.",
    },
    state: {
      type: "string",
      value: "DIR",
      default: "./.pileus-agent",
      help: "Folder for this host's identity, images and guests.",
    },
    "shared-storage": { type: "string", value: "DIR", help: "Instance store that several hosts mount." },
    accelerator: { type: "string", value: "KIND", default: "auto", help: "auto, kvm or tcg." },
    netns: { type: "string", value: "NAME", help: "Network namespace that plays this host." },
    "fabric-address": {
      type: "string",
      value: "IP",
      help: "Address of this host in that namespace; other hosts reach it there.",
    },
    "probe-guest": {
      type: "string",
      value: "DIR",
      help: "Guest image folder with vmlinuz and initrd.gz for the KVM probe.",
    },
    neighbours: { type: "string", value: "JSON", help: "Other hosts of this machine that this one may fence." },
    "boot-slots": {
      type: "string",
      value: "DIR",
      help: "Folder in which the hosts of this machine take turns to boot guests.",
    },
    vcpus: { type: "string", value: "N", help: "Offer this many virtual CPUs." },
    "ram-mib": { type: "string", value: "N", help: "Offer this much memory." },
    "disk-gib": { type: "string", value: "N", help: "Offer this much disk." },
    "volume-backends": { type: "string", value: "FILE", help: "YAML list of this host's volume backends." },
    "volume-sockets": {
      type: "string",
      value: "DIR",
      default: "/run/pileus",
      help: "Short folder for the sockets of volumes.",
    },
    "exit-with-parent": { type: "boolean", help: "End when standard input ends: for whoever starts agents." },
    "log-level": { type: "string", value: "LEVEL", default: "info", help: "debug, info, warn or error." },
  },
  notes: "Guests go on when the agent ends; the next agent over the same state folder adopts them.",
  async run(args) {
    const settings = agentSettings(args);
    // Guests' processes inherit both: their files are nobody else's, and they have no use for passwords.
    process.umask(0o077);
    dropSecrets(process.env);
    // After the arguments have been checked: drivers take a while to load.
    const { startAgentProgram } = await import("../../agent/program.ts");
    const parentGone = args.has("exit-with-parent") ? untilInputEnds() : new Promise<void>(() => {});
    let running = false;
    // Until it has started it holds nothing that needs an end in good order, and may wait for its server for long.
    void parentGone.then(() => {
      if (!running) process.exit(0);
    });
    const agent = await startAgentProgram(settings);
    running = true;
    await Promise.race([untilStopped(), parentGone]);
    await agent.stop();
    // An input that is still open would keep the process.
    process.stdin.destroy();
    return 0;
  },
};

function agentSettings(args: ParsedArguments): AgentSettings {
  const host = args.text("host");
  if (host === null || !/^[a-zA-Z0-9._-]{1,64}$/.test(host))
    throw usageError("--host must name this host: letters, digits, dots and dashes.");
  const accelerator = ACCELERATORS.find((each) => each === args.text("accelerator"));
  if (!accelerator) throw usageError(`--accelerator takes ${ACCELERATORS.join(", ")}.`);
  const netns = args.text("netns");
  const address = args.text("fabric-address");
  if ((netns === null) !== (address === null)) throw usageError("--netns and --fabric-address go together.");
  const guest = args.text("probe-guest");
  const shared = args.text("shared-storage");
  const slots = args.text("boot-slots");
  const backends = args.text("volume-backends");
  return {
    host,
    stateDir: resolve(args.text("state") ?? "./.pileus-agent"),
    serverUrl: args.text("server") ?? "http://127.0.0.1:5000",
    caFile: args.text("ca-file"),
    joinTokenFile: args.text("join-token-file"),
    sharedDir: shared === null ? null : resolve(shared),
    accelerator,
    namespace: netns !== null && address !== null ? { netns, address } : null,
    probeGuest: guest === null ? null : { kernel: resolve(guest, "vmlinuz"), ramdisk: resolve(guest, "initrd.gz") },
    capacity: capacityOf(args),
    neighbours: neighboursOf(args),
    bootSlotsDir: slots === null ? null : resolve(slots),
    volumeBackendsFile: backends === null ? null : resolve(backends),
    volumeRunDir: resolve(args.text("volume-sockets") ?? "/run/pileus"),
    logLevel: logLevel(args),
  };
}

function capacityOf(args: ParsedArguments): AgentSettings["capacity"] {
  const vcpus = args.count("vcpus", 1);
  const ramMiB = args.count("ram-mib", 1);
  const diskGiB = args.count("disk-gib", 1);
  return {
    ...(vcpus === null ? {} : { vcpus }),
    ...(ramMiB === null ? {} : { ramMiB }),
    ...(diskGiB === null ? {} : { diskGiB }),
  };
}

/** `{"host-2": {"stateDir": "…", "netns": "…"}}`, as `pileus up` passes it to the hosts of one machine. */
function neighboursOf(args: ParsedArguments): AgentSettings["neighbours"] {
  const text = args.text("neighbours");
  if (text === null) return {};
  try {
    return JSON.parse(text) as AgentSettings["neighbours"];
  } catch {
    throw usageError("--neighbours takes JSON.");
  }
}
