import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parse, stringify } from "yaml";

export interface CloudLogin {
  readonly authUrl: string;
  readonly region: string;
  readonly username: string;
  readonly password: string;
  readonly projectName: string;
  /** Of the authority that vouches for the server; null where clients know it, and without TLS. */
  readonly caFile: string | null;
}

interface CloudsFile {
  clouds?: Record<string, { auth?: { password?: string } } | undefined>;
}

/** The only places that ever hold a generated password in clear; both are readable by their owner alone. */
export function credentialPaths(stateDir: string): { clouds: string; openrc: string } {
  return { clouds: join(stateDir, "clouds.yaml"), openrc: join(stateDir, "openrc") };
}

/** Passwords of an earlier start, by cloud name. */
export async function readPasswords(stateDir: string): Promise<ReadonlyMap<string, string>> {
  const text = await readFile(credentialPaths(stateDir).clouds, "utf8").catch(() => "");
  const { clouds = {} } = (parse(text) ?? {}) as CloudsFile;
  return new Map(
    Object.entries(clouds).flatMap(([name, cloud]) =>
      cloud?.auth?.password ? [[name, cloud.auth.password] as const] : [],
    ),
  );
}

/** Writes `clouds.yaml` for every login and `openrc` for the first. */
export async function writeCredentials(stateDir: string, logins: ReadonlyMap<string, CloudLogin>): Promise<void> {
  const paths = credentialPaths(stateDir);
  const clouds = Object.fromEntries([...logins].map(([name, login]) => [name, cloudEntry(login)]));
  await writePrivate(paths.clouds, stringify({ clouds }));
  const [first] = logins.values();
  if (first) await writePrivate(paths.openrc, openrc(first));
}

function cloudEntry(login: CloudLogin) {
  return {
    auth: {
      auth_url: login.authUrl,
      username: login.username,
      password: login.password,
      project_name: login.projectName,
      user_domain_name: "Default",
      project_domain_name: "Default",
    },
    region_name: login.region,
    identity_api_version: "3",
    ...(login.caFile === null ? {} : { cacert: login.caFile }),
  };
}

function openrc(login: CloudLogin): string {
  const variables = {
    OS_AUTH_URL: login.authUrl,
    OS_USERNAME: login.username,
    OS_PASSWORD: login.password,
    OS_PROJECT_NAME: login.projectName,
    OS_USER_DOMAIN_NAME: "Default",
    OS_PROJECT_DOMAIN_NAME: "Default",
    OS_REGION_NAME: login.region,
    OS_IDENTITY_API_VERSION: "3",
    ...(login.caFile === null ? {} : { OS_CACERT: login.caFile }),
  };
  return `${Object.entries(variables)
    .map(([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'`)
    .join("\n")}\n`;
}

async function writePrivate(path: string, text: string): Promise<void> {
  await writeFile(path, text, { mode: 0o600 });
  await chmod(path, 0o600);
}
