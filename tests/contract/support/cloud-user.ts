import type { ClientHost, ClientProgram, ClientResult } from "./official-clients.ts";

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into any body
  readonly body: any;
  readonly headers: Headers;
}

export interface AskOptions {
  /** `2.96`, `latest`; the header is absent without it. */
  readonly version?: string;
  /** Sent as JSON; a string is sent as it is. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Face; `/compute/v2.1` when absent. */
  readonly root?: string;
}

export interface Login {
  readonly address: string;
  readonly cloudsFile: string;
  readonly clients: ClientHost;
  /** Also the name of the cloud in the file. */
  readonly name: string;
  readonly password: string;
  readonly project: string;
}

/** Newest version that the installed `openstack` knows; its own default is 2.1. */
const CLIENT_VERSION = "2.92";

/** One user of a cloud: over plain HTTP with a token, and with the official clients. */
export class CloudUser {
  readonly name: string;
  readonly token: string;
  readonly projectId: string;
  readonly userId: string;
  readonly #login: Login;

  static async login(login: Login): Promise<CloudUser> {
    const { name, password, project, address } = login;
    const domain = { name: "Default" };
    const auth = {
      identity: { methods: ["password"], password: { user: { name, password, domain } } },
      scope: { project: { name: project, domain } },
    };
    const response = await fetch(`${address}/identity/v3/auth/tokens`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ auth }),
    });
    const { token } = (await response.json()) as { token: { project: { id: string }; user: { id: string } } };
    const subject = response.headers.get("x-subject-token");
    if (!subject) throw new Error(`${name} cannot log in: ${response.status}`);
    return new CloudUser(login, subject, token.project.id, token.user.id);
  }

  private constructor(login: Login, token: string, projectId: string, userId: string) {
    this.#login = login;
    this.name = login.name;
    this.token = token;
    this.projectId = projectId;
    this.userId = userId;
  }

  /** A request over plain HTTP with this user's token. */
  async ask(method: string, path: string, options: AskOptions = {}): Promise<Answer> {
    const { version, body, headers, root = "/compute/v2.1" } = options;
    const response = await fetch(`${this.#login.address}${root}${path}`, {
      method,
      headers: {
        "x-auth-token": this.token,
        ...(version === undefined ? {} : { "openstack-api-version": `compute ${version}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? undefined : JSON.parse(text), headers: response.headers };
  }

  /** `POST /servers/{id}/action` */
  act(serverId: string, body: unknown, version?: string): Promise<Answer> {
    return this.ask("POST", `/servers/${serverId}/action`, { body, ...(version === undefined ? {} : { version }) });
  }

  /** The `openstack` client at the newest version that it knows, whatever comes of it. */
  try(command: string, version = CLIENT_VERSION): Promise<ClientResult> {
    return this.#run("openstack", ["--os-compute-api-version", version, ...words(command)]);
  }

  /** As `try`, but throws with everything that was printed unless the client succeeds. */
  async openstack(command: string, version?: string): Promise<string> {
    return succeeded(`openstack ${command}`, await this.try(command, version));
  }

  /** Adds `-f json` and answers what was printed. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into any output
  async json(command: string, version?: string): Promise<any> {
    return JSON.parse(await this.openstack(`${command} -f json`, version));
  }

  /** The `nova` client, whatever comes of it. */
  tryNova(command: string): Promise<ClientResult> {
    return this.#run("nova", words(command));
  }

  async nova(command: string): Promise<string> {
    return succeeded(`nova ${command}`, await this.tryNova(command));
  }

  /** The `openstack volume` commands at a microversion of Block Storage, whatever comes of it. */
  tryVolume(command: string, version = "3.70"): Promise<ClientResult> {
    return this.#run("openstack", ["--os-volume-api-version", version, ...words(command)]);
  }

  async volume(command: string, version?: string): Promise<string> {
    return succeeded(`openstack ${command}`, await this.tryVolume(command, version));
  }

  /** Adds `-f json` and answers what was printed. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into any output
  async volumeJson(command: string, version?: string): Promise<any> {
    return JSON.parse(await this.volume(`${command} -f json`, version));
  }

  /** The `cinder` client, whatever comes of it. */
  tryCinder(command: string, version = "3.70"): Promise<ClientResult> {
    return this.#run("cinder", ["--os-volume-api-version", version, ...words(command)]);
  }

  async cinder(command: string, version?: string): Promise<string> {
    return succeeded(`cinder ${command}`, await this.tryCinder(command, version));
  }

  /** Runs a Python program with `openstack` and `cloud`, this user's connection; answers what it leaves in `result`. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into any result
  async sdk(program: string): Promise<any> {
    const whole = `cloud = openstack.connect()\n${program}\nprint(json.dumps(result))`;
    const stdout = succeeded(program, await this.#run("sdk", [whole]));
    return JSON.parse(stdout);
  }

  #run(program: ClientProgram, args: readonly string[]): Promise<ClientResult> {
    const { address, cloudsFile, clients, name, password, project } = this.#login;
    const env =
      program === "nova" || program === "cinder"
        ? {
            OS_AUTH_URL: `${address}/identity/v3`,
            OS_USERNAME: name,
            OS_PASSWORD: password,
            OS_PROJECT_NAME: project,
            OS_USER_DOMAIN_NAME: "Default",
            OS_PROJECT_DOMAIN_NAME: "Default",
            OS_REGION_NAME: "RegionOne",
          }
        : { OS_CLIENT_CONFIG_FILE: cloudsFile, OS_CLOUD: name };
    return clients.run(program, args, env);
  }
}

/** Words of a command line; those in single quotes keep their blanks. */
function words(command: string): string[] {
  return [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");
}

function succeeded(what: string, { code, stdout, stderr }: ClientResult): string {
  if (code === 0) return stdout;
  throw new Error(`${what} ended with ${code}\n${stdout}\n${stderr}`);
}
