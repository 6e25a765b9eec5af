import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../kernel/clock/clock.ts";
import { createHttpServer } from "../../../kernel/http/server.ts";
import { systemIds } from "../../../kernel/ids/ids.ts";
import { Loggers, silentLogger } from "../../../kernel/log/logger.ts";
import { Policy } from "../../../kernel/policy/policy.ts";
import { counterMigration } from "../../../kernel/store/counters.ts";
import { openSqlite } from "../../../kernel/store/testing/stores.ts";
import type { BootstrapResult } from "../../../services/identity/bootstrap.ts";
import { createIdentityService } from "../../../services/identity/service.ts";
import { identityMigrations } from "../../../services/identity/store/migrations.ts";
import { createImageService } from "../../../services/image/service.ts";
import { imageMigrations } from "../../../services/image/store/tables.ts";
import { createNetworkService } from "../../../services/network/service.ts";
import { networkMigrations } from "../../../services/network/store/tables.ts";
import { type OpenStackCli, openstackCli } from "./openstack-cli.ts";

/** Identity, Image and Network behind one listener, and the client as two of its users. */
export interface NetworkImageCloud {
  readonly admin: OpenStackCli;
  readonly demo: OpenStackCli;
  readonly ids: BootstrapResult;
  /** A folder for files of the test. */
  readonly folder: string;
  readonly imageDir: string;
  dispose(): Promise<void>;
}

const ADMIN_PASSWORD = "admin-password";
const DEMO_PASSWORD = "demo-password";

export async function networkImageCloud(): Promise<NetworkImageCloud> {
  const folder = await mkdtemp(join(tmpdir(), "pileus-contract-"));
  const imageDir = join(folder, "images");
  const { store, dispose } = await openSqlite([
    counterMigration,
    ...identityMigrations,
    ...imageMigrations,
    ...networkMigrations,
  ]);
  const kernel = { store, clock: systemClock, ids: systemIds };
  const catalog = [
    { type: "identity", name: "keystone", path: "/identity" },
    { type: "image", name: "glance", path: "/image" },
    { type: "network", name: "neutron", path: "/network" },
  ];
  const identity = createIdentityService(kernel, { tokenLifeMs: 3_600_000, region: "RegionOne", catalog });
  const image = createImageService(kernel, { dataDir: imageDir });
  const network = createNetworkService(kernel);
  const manifests = [identity.manifest, image.manifest, network.manifest];
  const http = createHttpServer({
    faces: manifests.flatMap((manifest) => manifest.faces),
    loggers: new Loggers({ destination: { write: () => undefined } }),
    clock: systemClock,
    ids: systemIds,
    policy: new Policy({ defaults: manifests.flatMap((manifest) => manifest.policies), log: silentLogger }),
    authenticator: identity.authenticator,
    identityPath: "/identity/v3",
  });
  const baseUrl = await http.listen({ host: "127.0.0.1", port: 0 });
  const ids = await identity.bootstrap({ baseUrl, adminPassword: ADMIN_PASSWORD, demoPassword: DEMO_PASSWORD });
  await network.ensureDefaultNetwork({ projectId: ids.adminProjectId });
  const clientOf = (username: string, password: string) =>
    openstackCli({ authUrl: `${baseUrl}/identity/v3`, login: { username, password, scope: { project: username } } });
  const admin = await clientOf("admin", ADMIN_PASSWORD);
  const demo = await clientOf("demo", DEMO_PASSWORD);
  return {
    admin,
    demo,
    ids,
    folder,
    imageDir,
    async dispose() {
      await Promise.all([admin.dispose(), demo.dispose()]);
      await http.close(0);
      await dispose();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
