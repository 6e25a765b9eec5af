import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Machine } from "../../apps/cli/machine.ts";
import { CAPABILITIES, type CapabilityName, ensurePackages } from "../../apps/cli/system-packages.ts";
import type { Children } from "./child.ts";
import { findPostgres, type PrivatePostgres, startPostgres } from "./private-postgres.ts";

interface ResourceOptions {
  machine: Machine;
  mayInstall: boolean;
  children: Children;
  env: NodeJS.ProcessEnv;
  runFolder: string;
  say: (line: string) => void;
}

/** What stages need besides files: system packages and a database server, each provided once, when first needed. */
export class Resources {
  readonly #options: ResourceOptions;
  readonly #absences = new Map<CapabilityName, string | null>();
  #postgres: PrivatePostgres | undefined;

  constructor(options: ResourceOptions) {
    this.#options = options;
  }

  /** Null when all is there; else why not, and what to do. Sets `PILEUS_TEST_POSTGRES` in the environment of the tests. */
  async provide(capabilities: readonly CapabilityName[]): Promise<string | null> {
    for (const capability of capabilities) {
      const known = this.#absences.get(capability);
      const absence = known === undefined ? await this.#provideOne(capability) : known;
      this.#absences.set(capability, absence);
      if (absence !== null) return absence;
    }
    return null;
  }

  async stop(): Promise<void> {
    await this.#postgres?.stop();
    this.#postgres = undefined;
  }

  async #provideOne(capability: CapabilityName): Promise<string | null> {
    const { machine, mayInstall, say, env } = this.#options;
    if (capability === "test-database" && env.PILEUS_TEST_POSTGRES) return null;
    const result = await ensurePackages({ capability, mayInstall, machine, say });
    if (result.outcome === "missing")
      return `${CAPABILITIES[capability].title} need ${result.packages.join(" ")} (${result.reason}); run: ${result.command}`;
    if (capability === "test-database") await this.#startPostgres();
    return null;
  }

  async #startPostgres(): Promise<void> {
    const { children, env, runFolder, say } = this.#options;
    const binaries = findPostgres(env.PATH ?? "");
    if (!binaries) throw new Error("PostgreSQL is installed, but no folder holds both initdb and postgres");
    const folder = join(runFolder, "pg");
    await mkdir(folder);
    const started = performance.now();
    this.#postgres = await startPostgres({ binaries, folder, children, env });
    env.PILEUS_TEST_POSTGRES = this.#postgres.url;
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    say(`Private PostgreSQL of ${binaries} started in ${seconds} s`);
  }
}
