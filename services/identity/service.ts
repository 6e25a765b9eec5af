import { minutes, seconds } from "../../kernel/clock/clock.ts";
import type { Authenticator } from "../../kernel/http/request.ts";
import type { KernelServices, ServiceManifest } from "../../kernel/service/manifest.ts";
import { type BootstrapResult, type BootstrapSettings, bootstrap, type CatalogTemplate } from "./bootstrap.ts";
import { IdentityContext } from "./context.ts";
import { identityFace } from "./http/face.ts";
import { identityRoutes } from "./http/routes.ts";
import { identityPolicies } from "./policies.ts";
import { identityMigrations } from "./store/migrations.ts";
import { TokenAuthenticator } from "./tokens/authenticator.ts";
import { ALLOW_EXPIRED_MS } from "./tokens/token-service.ts";

export interface IdentityOptions {
  /** Life of a token, milliseconds; OpenStack's default is an hour. */
  readonly tokenLifeMs: number;
  /** Life of a password, milliseconds; absent: for ever, as in OpenStack. */
  readonly passwordLifeMs?: number;
  /** `RegionOne` */
  readonly region: string;
  /** What `bootstrap` publishes; later services are more rows. */
  readonly catalog: readonly CatalogTemplate[];
}

export interface IdentityService {
  readonly manifest: ServiceManifest;
  /** Checks tokens for every face of the program. */
  readonly authenticator: Authenticator;
  /** Makes what an installation contains, where it is missing; call it at each start, after the migrations. */
  bootstrap(settings: BootstrapSettings): Promise<BootstrapResult>;
  /** Signs with a fresh key from now on; older tokens stay valid until they expire. */
  rotateSigningKey(): Promise<void>;
}

export function createIdentityService(
  kernel: Pick<KernelServices, "store" | "clock" | "ids">,
  options: IdentityOptions,
): IdentityService {
  const identity = new IdentityContext(kernel, {
    tokenLifeMs: options.tokenLifeMs,
    passwordLifeMs: options.passwordLifeMs ?? null,
  });
  const { keys, revocations, tokens } = identity;
  return {
    manifest: {
      name: "identity",
      migrations: identityMigrations,
      policies: identityPolicies,
      faces: [{ face: identityFace, routes: identityRoutes(identity) }],
      operations: [],
      reconcilers: [
        // Makes up for a notification that was lost with a database connection.
        { name: "identity.revocations", everyMs: seconds(5), run: () => revocations.refresh() },
        {
          name: "identity.purge",
          everyMs: minutes(60),
          async run() {
            await revocations.purge();
            await keys.forgetKeysBefore(kernel.clock.now() - options.tokenLifeMs - ALLOW_EXPIRED_MS);
          },
        },
      ],
    },
    authenticator: new TokenAuthenticator(kernel, tokens, revocations, typesByRoot(options.catalog)),
    bootstrap: (settings) => bootstrap(identity, options.region, options.catalog, settings),
    rotateSigningKey: () => keys.rotate(),
  };
}

/** Several types may name one service: `volumev3` and `block-storage` both lie under `volume`. */
function typesByRoot(catalog: readonly CatalogTemplate[]): ReadonlyMap<string, readonly string[]> {
  const rows = Map.groupBy(catalog, ({ path }) => path.split("/", 2)[1] ?? "");
  return new Map([...rows].map(([root, templates]) => [root, templates.map(({ type }) => type)]));
}
