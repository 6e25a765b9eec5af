import type { Machine } from "./machine.ts";

/** A Debian package, and the commands (or, with a slash, files) by which we know that it is there. */
export interface SystemPackage {
  readonly name: string;
  readonly provides: readonly string[];
}

export interface Capability {
  /** For messages: "real virtual machines". */
  readonly title: string;
  readonly packages: readonly SystemPackage[];
  /** What runs simulated when the packages are not there. */
  readonly simulated: readonly string[];
}

const pkg = (name: string, ...provides: string[]): SystemPackage => ({ name, provides });

/** What each ability needs of the system. Names are those of Debian 12. */
export const CAPABILITIES = {
  compute: {
    title: "real virtual machines",
    packages: [
      pkg("qemu-system-x86", "qemu-system-x86_64"),
      pkg("qemu-utils", "qemu-img", "qemu-nbd"),
      pkg("qemu-system-common", "qemu-storage-daemon"),
      pkg("iproute2", "ip", "bridge"),
      pkg("util-linux", "unshare", "nsenter", "setpriv"),
      pkg("iputils-ping", "ping"),
      pkg("e2fsprogs", "mkfs.ext4"),
      pkg("dosfstools", "mkfs.vfat"),
      pkg("mtools", "mcopy"),
      pkg("cpio", "cpio"),
    ],
    simulated: ["compute"],
  },
  "test-database": {
    title: "tests on PostgreSQL",
    packages: [pkg("postgresql", "initdb", "postgres")],
    simulated: [],
  },
  "test-clients": {
    title: "tests with the official clients",
    packages: [
      pkg("python3-openstackclient", "openstack"),
      pkg("python3-novaclient", "nova"),
      pkg("python3-cinderclient", "cinder"),
      pkg("python3-openstacksdk", "/usr/lib/python3/dist-packages/openstack/__init__.py"),
    ],
    simulated: [],
  },
  "test-browser": { title: "tests in a browser", packages: [pkg("chromium", "chromium")], simulated: [] },
} as const satisfies Record<string, Capability>;

export type CapabilityName = keyof typeof CAPABILITIES;

export type PackagesResult =
  | { readonly outcome: "present" }
  | { readonly outcome: "installed"; readonly packages: readonly string[] }
  | {
      readonly outcome: "missing";
      readonly packages: readonly string[];
      /** Why they were not installed, as half a sentence. */
      readonly reason: string;
      /** What an administrator may run to install them. */
      readonly command: string;
      readonly simulated: readonly string[];
    };

/** The packages of a capability of which a command or file is missing. */
export function missingPackages(capability: CapabilityName, machine: Machine): string[] {
  return CAPABILITIES[capability].packages
    .filter(({ provides }) => !provides.every((it) => machine.has(it)))
    .map(({ name }) => name);
}

/**
 * Makes sure that a capability's packages are installed: with apt when it may and is root, saying what it does; otherwise
 * tells the command. Never throws for want of packages: the caller decides between simulating and giving up.
 * No service that comes with a package is started.
 */
export async function ensurePackages(options: {
  capability: CapabilityName;
  mayInstall: boolean;
  say: (line: string) => void;
  machine: Machine;
}): Promise<PackagesResult> {
  const { capability, machine, say } = options;
  const packages = missingPackages(capability, machine);
  if (packages.length === 0) return { outcome: "present" };
  const missing = (reason: string): PackagesResult => ({
    outcome: "missing",
    packages,
    reason,
    command: `sudo apt-get install -y --no-install-recommends ${packages.join(" ")}`,
    simulated: CAPABILITIES[capability].simulated,
  });
  if (!machine.has("apt-get")) return missing("this system has no apt-get");
  if (!options.mayInstall) return missing("installing was not allowed");
  if (!machine.isRoot) return missing("only root may install");

  say(`Installing for ${CAPABILITIES[capability].title}: ${packages.join(" ")} (apt-get, may take minutes) …`);
  const failure = await machine.withoutServiceStarts(() => aptInstall(packages, machine, say));
  if (failure !== null) return missing(`apt-get failed: ${failure}`);
  const still = missingPackages(capability, machine);
  if (still.length > 0) return missing(`apt-get succeeded, but the commands of ${still.join(", ")} are not there`);
  return { outcome: "installed", packages };
}

const APT_OPTIONS = ["-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0", "-o", "Acquire::Retries=3"];

/** Null, or the last lines of what apt said. Package lists are fetched only when installing without that fails. */
async function aptInstall(
  packages: readonly string[],
  machine: Machine,
  say: (line: string) => void,
): Promise<string | null> {
  const install = ["apt-get", ...APT_OPTIONS, "install", "-y", "--no-install-recommends", ...packages];
  const first = await machine.run(install);
  if (first.code === 0) return null;
  say("Fetching package lists (apt-get update) …");
  const update = await machine.run(["apt-get", ...APT_OPTIONS, "update"]);
  if (update.code !== 0) return lastLines(update.output);
  const second = await machine.run(install);
  return second.code === 0 ? null : lastLines(second.output);
}

function lastLines(output: string): string {
  const lines = output.trim().split("\n");
  const errors = lines.filter((line) => line.startsWith("E:"));
  return (errors.length > 0 ? errors : lines).slice(-3).join(" ");
}
