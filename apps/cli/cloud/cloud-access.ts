import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parse } from "yaml";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { didYouMean } from "../did-you-mean.ts";

/** How to reach a cloud, and as whom. */
export interface CloudAccess {
  /** Where we learned it, for messages: `cloud 'pileus' of /root/.pileus/clouds.yaml`. */
  readonly source: string;
  /** `http://127.0.0.1:5000/identity/v3` */
  readonly authUrl: string;
  /** The `auth` object of a token request. Holds secrets. */
  readonly login: Record<string, unknown>;
  /** PEM file of the authority behind the server's certificate. */
  readonly caFile: string | null;
  /** False: any certificate will do. */
  readonly verify: boolean;
}

export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly home: string;
}

/** Fields of `auth` in clouds.yaml; with `OS_` and capitals they are the environment variables. */
type Auth = Readonly<Record<string, string | undefined>>;

interface CloudEntry {
  readonly auth?: Auth;
  readonly cacert?: string;
  readonly verify?: boolean;
}

const ENV_FIELDS = [
  "auth_url",
  "username",
  "user_id",
  "password",
  "token",
  "project_name",
  "project_id",
  "user_domain_name",
  "user_domain_id",
  "project_domain_name",
  "project_domain_id",
  "domain_name",
  "domain_id",
  "system_scope",
  "application_credential_id",
  "application_credential_name",
  "application_credential_secret",
];

/**
 * The cloud to talk to, as OpenStack's own clients find it: the one named (`--cloud`, OS_CLOUD) in a clouds.yaml, else OS_*
 * variables, else the only cloud, or the one called `pileus`, of the first clouds.yaml there is. Throws `cli.no_cloud`.
 */
export function findCloud(named: string | null, around: Surroundings): CloudAccess {
  const { env } = around;
  const name = named ?? env.OS_CLOUD ?? null;
  if (name === null && env.OS_AUTH_URL) return fromEnvironment(env);
  const files = cloudFiles(around)
    .filter((file) => existsSync(file))
    .map((file) => ({ file, clouds: readClouds(file) }));
  for (const { file, clouds } of files) {
    const chosen = name ?? onlyCloud(Object.keys(clouds));
    const entry = chosen === null ? undefined : clouds[chosen];
    if (chosen !== null && entry) return fromEntry(entry, `cloud '${chosen}' of ${file}`, env);
  }
  throw noCloud(name, [...new Set(files.flatMap(({ clouds }) => Object.keys(clouds)))], cloudFiles(around));
}

function cloudFiles({ env, cwd, home }: Surroundings): string[] {
  return [
    ...(env.OS_CLIENT_CONFIG_FILE ? [resolve(cwd, env.OS_CLIENT_CONFIG_FILE)] : []),
    join(cwd, "clouds.yaml"),
    join(cwd, ".pileus", "clouds.yaml"),
    join(home, ".config", "openstack", "clouds.yaml"),
    "/etc/openstack/clouds.yaml",
  ];
}

const onlyCloud = (names: readonly string[]): string | null =>
  names.includes("pileus") ? "pileus" : names.length === 1 ? (names[0] ?? null) : null;

function readClouds(file: string): Record<string, CloudEntry | undefined> {
  try {
    const content = parse(readFileSync(file, "utf8")) as { clouds?: Record<string, CloudEntry> } | null;
    return content?.clouds ?? {};
  } catch (cause) {
    throw new CloudError("invalid", "cli.bad_clouds_file", `${file} cannot be read as clouds.yaml.`, { cause });
  }
}

function fromEntry(entry: CloudEntry, source: string, env: Surroundings["env"]): CloudAccess {
  const auth = entry.auth ?? {};
  return {
    source,
    authUrl: authUrlOf(auth, source),
    login: loginOf(auth, source),
    caFile: entry.cacert ?? env.OS_CACERT ?? null,
    verify: entry.verify !== false,
  };
}

function fromEnvironment(env: Surroundings["env"]): CloudAccess {
  const auth = Object.fromEntries(ENV_FIELDS.map((field) => [field, env[`OS_${field.toUpperCase()}`] || undefined]));
  const source = "the OS_* variables";
  return {
    source,
    authUrl: authUrlOf(auth, source),
    login: loginOf(auth, source),
    caFile: env.OS_CACERT ?? null,
    verify: !/^(1|true|yes)$/i.test(env.OS_INSECURE ?? ""),
  };
}

/** Clients accept the URL with and without the version. */
function authUrlOf(auth: Auth, source: string): string {
  const url = auth.auth_url?.replace(/\/+$/, "");
  if (!url || !URL.canParse(url)) throw incomplete(source, "a valid auth_url");
  return url.endsWith("/v3") ? url : `${url}/v3`;
}

function loginOf(auth: Auth, source: string): Record<string, unknown> {
  if (auth.application_credential_id || auth.application_credential_name) {
    return { identity: { methods: ["application_credential"], application_credential: applicationCredential(auth) } };
  }
  const scope = scopeOf(auth);
  const scoped = scope === undefined ? {} : { scope };
  if (auth.token) return { identity: { methods: ["token"], token: { id: auth.token } }, ...scoped };
  if (!auth.password || !(auth.username || auth.user_id)) throw incomplete(source, "a user and a password");
  return {
    identity: { methods: ["password"], password: { user: { ...userOf(auth), password: auth.password } } },
    ...scoped,
  };
}

function applicationCredential(auth: Auth): Record<string, unknown> {
  const secret = auth.application_credential_secret;
  if (auth.application_credential_id) return { id: auth.application_credential_id, secret };
  return { name: auth.application_credential_name, secret, user: userOf(auth) };
}

function userOf(auth: Auth): Record<string, unknown> {
  if (auth.user_id) return { id: auth.user_id };
  return { name: auth.username, domain: domainOf(auth.user_domain_id, auth.user_domain_name) };
}

function scopeOf(auth: Auth): Record<string, unknown> | undefined {
  if (auth.system_scope) return { system: { all: true } };
  if (auth.project_id) return { project: { id: auth.project_id } };
  if (auth.project_name) {
    const domain = domainOf(auth.project_domain_id, auth.project_domain_name);
    return { project: { name: auth.project_name, domain } };
  }
  if (auth.domain_id || auth.domain_name) return { domain: domainOf(auth.domain_id, auth.domain_name) };
  return undefined;
}

function domainOf(id: string | undefined, name: string | undefined): Record<string, string> {
  if (id) return { id };
  return name ? { name } : { id: "default" };
}

function incomplete(source: string, what: string): CloudError {
  return new CloudError("invalid", "cli.incomplete_cloud", `The login in ${source} lacks ${what}.`);
}

function noCloud(name: string | null, known: readonly string[], files: readonly string[]): CloudError {
  if (name === null && known.length > 0)
    return new CloudError("invalid", "cli.several_clouds", `Name one of the clouds with --cloud: ${known.join(", ")}.`);
  if (name !== null && known.length > 0) {
    const hint = didYouMean(name, known);
    const rest = hint === null ? `Known are ${known.join(", ")}.` : `Did you mean '${hint}'?`;
    return new CloudError("notFound", "cli.no_cloud", `There is no cloud '${name}'. ${rest}`);
  }
  return new CloudError(
    "notFound",
    "cli.no_cloud",
    `No cloud is known here. 'pileus up' makes one; for one that runs, set OS_CLIENT_CONFIG_FILE to its clouds.yaml or the OS_* variables. Looked for ${files.join(", ")}.`,
  );
}
