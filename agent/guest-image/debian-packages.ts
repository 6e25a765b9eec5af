import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import { runCommand } from "../process/run-command.ts";

/**
 * Names of the packages that the guest is made of, for whatever Debian release this is: the newest cloud kernel, busybox,
 * and the guest agent with the libraries it needs. They are only unpacked, never installed.
 */
export async function guestPackages(signal?: AbortSignal): Promise<string[]> {
  const options = signal ? { signal } : {};
  const kernel = await dependencies(["linux-image-cloud-amd64"], options);
  const agent = await dependencies(["--recurse", "qemu-guest-agent"], options);
  const kernelImage = kernel.find((name) => name.startsWith("linux-image-"));
  if (kernelImage === undefined) {
    throw new CloudError(
      "unavailable",
      "guest_image.no_packages",
      "Debian packages for the guest image were not found.",
      {
        internal: "apt-cache knows no linux-image-cloud-amd64; run `apt-get update` first",
      },
    );
  }
  const libraries = agent.filter((name) => name.startsWith("lib"));
  return [kernelImage, "busybox-static", "qemu-guest-agent", ...new Set(libraries)];
}

/** Downloads packages into `dir` and unpacks each into `unpackedDir`. */
export async function fetchPackages(
  names: readonly string[],
  dirs: { downloads: string; unpacked: string },
  signal?: AbortSignal,
): Promise<void> {
  await mkdir(dirs.downloads, { recursive: true });
  await mkdir(dirs.unpacked, { recursive: true });
  const options = { cwd: dirs.downloads, timeoutMs: 600_000, ...(signal ? { signal } : {}) };
  await runCommand("apt-get", ["download", "-q", ...names], options);
  const files = await readdir(dirs.downloads);
  for (const file of files.filter((name) => name.endsWith(".deb")).sort()) {
    await runCommand("dpkg-deb", ["-x", join(dirs.downloads, file), dirs.unpacked], options);
  }
}

async function dependencies(args: readonly string[], options: { signal?: AbortSignal }): Promise<string[]> {
  const narrow = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"].map(
    (kind) => `--no-${kind}`,
  );
  const text = await runCommand("apt-cache", ["depends", ...narrow, ...args], options);
  return [...text.matchAll(/^ *(?:Pre)?Depends: ([a-z0-9][a-z0-9.+-]*)/gm)].map((match) => match[1] ?? "");
}
