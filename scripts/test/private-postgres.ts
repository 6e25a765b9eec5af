import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { chmod, chown, mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { delimiter, join } from "node:path";
import pg from "pg";
import type { Children } from "./child.ts";

export interface PrivatePostgres {
  /** Of its superuser; each test makes a database of its own. */
  readonly url: string;
  stop(): Promise<void>;
}

/** The folder with `initdb` and `postgres`: Debian's 15, else Debian's newest, else the pair on the PATH; or undefined. */
export function findPostgres(searchPath: string): string | undefined {
  const debian = "/usr/lib/postgresql";
  const versions = existsSync(debian) ? readdirSync(debian).toSorted((a, b) => Number(b) - Number(a)) : [];
  const folders = ["15", ...versions].map((version) => join(debian, version, "bin"));
  return [...folders, ...searchPath.split(delimiter)].find(
    (folder) => existsSync(join(folder, "initdb")) && existsSync(join(folder, "postgres")),
  );
}

/**
 * A PostgreSQL server for this run only, in `folder`, on 127.0.0.1 and a socket there. It forgoes durability, and runs as the
 * user `postgres` when we are root, since it refuses to be root. It dies with this process.
 */
export async function startPostgres(options: {
  binaries: string;
  folder: string;
  children: Children;
  env: NodeJS.ProcessEnv;
}): Promise<PrivatePostgres> {
  const { binaries, folder, children, env } = options;
  const data = join(folder, "data");
  const password = randomBytes(12).toString("hex");
  const passwordFile = join(folder, "password");
  const owner = await postgresUser(children, env);
  await mkdir(data, { recursive: true });
  await writeFile(passwordFile, password, { mode: 0o600 });
  await chmod(data, 0o700);
  if (owner) for (const path of [folder, data, passwordFile]) await chown(path, owner.uid, owner.gid);

  const asOwner = (argv: string[]) => [...dropPrivileges(owner), ...argv];
  const auth = ["--username=pileus", "--auth=scram-sha-256", `--pwfile=${passwordFile}`];
  const initdb = [join(binaries, "initdb"), "-D", data, ...auth, "--encoding=UTF8", "--locale=C", "--no-sync"];
  const made = await children.run(asOwner(initdb), { env, cwd: folder, show: false });
  if (made.code !== 0) throw new Error(`initdb failed:\n${made.output}`);

  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    const server = [join(binaries, "postgres"), "-D", data, ...settings({ port, sockets: folder })];
    const [command = "", ...args] = asOwner(server);
    const child = children.start(command, args, { cwd: folder, env, stdio: ["ignore", "ignore", "pipe"] });
    let log = "";
    child.stderr?.on("data", (chunk) => (log += chunk));
    // Over its socket a query takes two thirds of the time.
    const url = `postgres://pileus:${password}@127.0.0.1:${port}/postgres?host=${encodeURIComponent(folder)}`;
    if (await answers(url, () => child.exitCode === null && child.signalCode === null))
      return { url, stop: () => children.end(child, "SIGQUIT") };
    await children.end(child, "SIGQUIT");
    // Another program may have taken the port between our look and the server's.
    if (attempt === 3 || !log.includes("could not bind")) throw new Error(`PostgreSQL did not start:\n${log}`);
  }
}

function settings({ port, sockets }: { port: number; sockets: string }): string[] {
  const values = {
    listen_addresses: "127.0.0.1",
    port,
    unix_socket_directories: sockets,
    max_connections: 200,
    shared_buffers: "64MB",
    fsync: "off",
    synchronous_commit: "off",
    full_page_writes: "off",
    autovacuum: "off",
    log_min_messages: "fatal",
  };
  return Object.entries(values).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}

interface Owner {
  uid: number;
  gid: number;
}

/** Undefined when we are not root and can run the server ourselves. */
async function postgresUser(children: Children, env: NodeJS.ProcessEnv): Promise<Owner | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const known = userNamed("postgres");
  if (known) return known;
  const add = ["useradd", "--system", "--user-group", "--no-create-home", "--shell=/usr/sbin/nologin", "postgres"];
  const { code, output } = await children.run(add, { env, show: false });
  const made = userNamed("postgres");
  if (code !== 0 || !made) throw new Error(`cannot create the user postgres: ${output}`);
  return made;
}

function userNamed(name: string): Owner | undefined {
  const fields = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"))
    .find(([user]) => user === name);
  return fields ? { uid: Number(fields[2]), gid: Number(fields[3]) } : undefined;
}

/** Also binds the child's life to ours: a killed test run leaves no server behind. */
function dropPrivileges(owner: Owner | undefined): string[] {
  const tied = ["setpriv", "--pdeathsig=QUIT"];
  if (!owner) return tied;
  return [...tied, `--reuid=${owner.uid}`, `--regid=${owner.gid}`, "--clear-groups", "--inh-caps=-all"];
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      const port = typeof address === "object" && address ? address.port : 0;
      probe.close(() => resolve(port));
    });
  });
}

/** True once a connection succeeds; false when the server has ended or 30 s have passed. */
async function answers(url: string, alive: () => boolean): Promise<boolean> {
  for (let tries = 0; tries < 600 && alive(); tries += 1) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1000 });
    try {
      await client.connect();
      await client.end();
      return true;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  return false;
}
