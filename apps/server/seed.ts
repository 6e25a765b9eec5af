import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { GuestImage } from "../../agent/guest-image/ensure-guest-image.ts";
import type { IdentityService } from "../../services/identity/service.ts";
import type { ImageService } from "../../services/image/service.ts";
import type { NetworkService } from "../../services/network/service.ts";
import { type CloudLogin, readPasswords, writeCredentials } from "./credential-files.ts";
import type { ServerSettings } from "./settings.ts";
import { ownAuthority } from "./tls-files.ts";

export interface SeedServices {
  readonly identity: IdentityService;
  readonly image: ImageService;
  readonly network: NetworkService;
  seedFlavors(): Promise<void>;
}

export interface SeededCloud {
  readonly adminProjectId: string;
  /** False when the cloud existed and its passwords are not in this state folder. */
  readonly credentialsWritten: boolean;
}

/** Brings a new cloud to life, and an old one to the address of this start: users, catalog, flavors, a network, credentials. */
export async function seedCloud(
  services: SeedServices,
  settings: ServerSettings,
  baseUrl: string,
): Promise<SeededCloud> {
  const known = await readPasswords(settings.stateDir);
  const made = await services.identity.bootstrap({
    baseUrl,
    ...(settings.adminPassword === null ? {} : { adminPassword: settings.adminPassword }),
  });
  await services.seedFlavors();
  await services.network.ensureDefaultNetwork({ projectId: made.adminProjectId });
  const caFile = settings.tls === null ? null : await ownAuthority(settings.tls.cert);
  const login = (username: string, password: string): CloudLogin => ({
    authUrl: `${baseUrl}/identity/v3`,
    region: settings.region,
    username,
    password,
    projectName: username,
    caFile,
  });
  const logins = new Map<string, CloudLogin>();
  const admin = made.adminPassword ?? known.get("pileus");
  const demo = made.demoPassword ?? known.get("pileus-demo");
  if (admin !== undefined) logins.set("pileus", login("admin", admin));
  if (demo !== undefined) logins.set("pileus-demo", login("demo", demo));
  if (logins.size > 0) await writeCredentials(settings.stateDir, logins);
  return { adminProjectId: made.adminProjectId, credentialsWritten: admin !== undefined };
}

/** Registers the guest that comes with Pileus. */
export async function seedGuestImage(services: SeedServices, projectId: string, guest: GuestImage): Promise<void> {
  const { kernel, ramdisk, root } = guest;
  await services.image.ensureGuestImages({
    ownerProjectId: projectId,
    name: "pileus-guest",
    kernel,
    ramdisk,
    root,
    minRamMiB: 96,
  });
}

/** What simulated guests are made of: a few bytes under the name that the real guest has. */
export async function seedSimulatedImage(services: SeedServices, projectId: string, stateDir: string): Promise<void> {
  const path = join(stateDir, "simulated-guest.img");
  await writeFile(path, "A disk image for simulated hosts, which never read it.\n");
  await services.image.ensurePublicImage({
    ownerProjectId: projectId,
    name: "pileus-guest",
    path,
    diskFormat: "raw",
    containerFormat: "bare",
    minRamMiB: 96,
  });
}
