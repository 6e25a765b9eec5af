import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { stringify } from "yaml";

/** What one run of the client gave. */
export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** `stdout` as JSON; undefined when it is none. */
  readonly json: unknown;
}

/** As whom the client logs in; becomes one cloud of a clouds.yaml. */
export type CloudLogin =
  | { readonly password: string; readonly username: string; readonly scope: CloudScope }
  | { readonly applicationCredential: { readonly id: string; readonly secret: string } };

export type CloudScope =
  | { readonly project: string; readonly projectDomain?: string }
  | { readonly domain: string }
  | { readonly system: true }
  | { readonly unscoped: true };

export interface CloudSettings {
  /** `http://127.0.0.1:5000/identity/v3` */
  readonly authUrl: string;
  readonly login: CloudLogin;
  /** Domain of the user, by name; `Default` when absent. */
  readonly userDomain?: string;
  readonly region?: string;
  /** More keys of the cloud: `{ compute_api_version: "2.96" }`. */
  readonly more?: Readonly<Record<string, unknown>>;
}

/** The official command line client as one user of one cloud. */
export interface OpenStackCli {
  /** Runs the client with these arguments, whatever comes of it. */
  (args: readonly string[]): Promise<CliResult>;
  /** As the plain call, but throws with everything that was printed unless the client succeeds. */
  ok(args: readonly string[]): Promise<CliResult>;
  /** Adds `-f json` and answers what was printed. `T` is what the caller expects; nobody checks it. */
  json<T>(args: readonly string[]): Promise<T>;
  /** Removes the temporary clouds.yaml. */
  dispose(): Promise<void>;
}

const EXECUTABLE = findExecutable("openstack");
const TIMEOUT_MS = 120_000;

/** For the `skip` of a test: false when the client is installed, otherwise why the test cannot run. */
export const cliMissing: string | false =
  EXECUTABLE === undefined ? "the openstack client is not installed (apt-get install python3-openstackclient)" : false;

/** The caller's own `OS_…` variables and configuration have no influence. */
export async function openstackCli(settings: CloudSettings): Promise<OpenStackCli> {
  if (EXECUTABLE === undefined) throw new Error(String(cliMissing));
  const folder = await mkdtemp(join(tmpdir(), "pileus-cli-"));
  const file = join(folder, "clouds.yaml");
  await writeFile(file, stringify({ clouds: { pileus: cloudOf(settings) } }), { mode: 0o600 });
  const env = {
    PATH: process.env.PATH ?? "",
    HOME: folder,
    LANG: "C.UTF-8",
    OS_CLIENT_CONFIG_FILE: file,
    OS_CLOUD: "pileus",
  };
  const run = (args: readonly string[]) => runClient(EXECUTABLE, args, { cwd: folder, env });
  const ok = async (args: readonly string[]): Promise<CliResult> => {
    const result = await run(args);
    if (result.code === 0) return result;
    throw new Error(`openstack ${args.join(" ")} ended with ${result.code}\n${result.stdout}\n${result.stderr}`);
  };
  return Object.assign(run, {
    ok,
    async json<T>(args: readonly string[]): Promise<T> {
      return (await ok([...args, "-f", "json"])).json as T;
    },
    dispose: () => rm(folder, { recursive: true, force: true }),
  });
}

function cloudOf({ authUrl, login, userDomain, region, more }: CloudSettings): Record<string, unknown> {
  const common = { region_name: region ?? "RegionOne", identity_api_version: 3, ...more };
  if ("applicationCredential" in login) {
    const { id, secret } = login.applicationCredential;
    const auth = { auth_url: authUrl, application_credential_id: id, application_credential_secret: secret };
    return { auth_type: "v3applicationcredential", auth, ...common };
  }
  const { username, password, scope } = login;
  const auth = {
    auth_url: authUrl,
    username,
    password,
    user_domain_name: userDomain ?? "Default",
    ...scopeOf(scope),
  };
  return { auth, ...common };
}

function scopeOf(scope: CloudScope): Record<string, string> {
  if ("project" in scope) {
    return { project_name: scope.project, project_domain_name: scope.projectDomain ?? "Default" };
  }
  if ("domain" in scope) return { domain_name: scope.domain };
  return "system" in scope ? { system_scope: "all" } : {};
}

function runClient(
  executable: string,
  args: readonly string[],
  options: { cwd: string; env: Record<string, string> },
): Promise<CliResult> {
  return new Promise((resolve) => {
    const limits = { timeout: TIMEOUT_MS, maxBuffer: 64 * 1024 * 1024 };
    const client = execFile(executable, [...args], { ...options, ...limits }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
      resolve({ code, stdout, stderr, json: parsed(stdout) });
    });
    // Some commands read what is piped to them and would wait for it for ever.
    client.stdin?.end();
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function findExecutable(name: string): string | undefined {
  return (process.env.PATH ?? "")
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
