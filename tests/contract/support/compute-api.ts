import { sleep, systemClock } from "../../../kernel/clock/clock.ts";

/** The parts of a server that tests look at. */
export interface ServerView {
  readonly id: string;
  readonly status: string;
  readonly "OS-EXT-STS:task_state": string | null;
  readonly "OS-EXT-SRV-ATTR:host": string | null;
  readonly progress?: number;
  readonly fault?: { readonly message: string };
}

export interface MigrationView {
  readonly id: number;
  readonly uuid: string;
  readonly status: string;
  readonly migration_type: string;
  readonly source_compute: string;
  readonly dest_compute: string | null;
  readonly instance_uuid: string;
}

export interface ServiceView {
  readonly id: string;
  readonly state: "up" | "down";
  readonly status: string;
  readonly forced_down: boolean;
  /** When it was last heard, UTC without a zone. */
  readonly updated_at: string | null;
}

export interface ComputeApiOptions {
  readonly address: string;
  readonly username: string;
  readonly password: string;
  readonly microversion: string;
}

const TOKEN_LIFE_MS = 600_000;
const POLL_MS = 200;
/** How long a restarted server may be away. */
const AWAY_LIMIT_MS = 60_000;

/**
 * Plain requests, for what the clients have no command for and for waiting, which would take a client process per look.
 * A server that is being restarted is waited for.
 */
export class ComputeApi {
  readonly #options: ComputeApiOptions;
  #token: { readonly value: string; readonly until: number } | null = null;

  constructor(options: ComputeApiOptions) {
    this.#options = options;
  }

  /** Throws on any status but a 2xx. */
  async request<T>(method: string, path: string, body?: unknown): Promise<T> {
    const { address, microversion } = this.#options;
    const answer = await this.#send(`${address}${path}`, method, body, {
      "x-auth-token": await this.#tokenNow(),
      "openstack-api-version": `compute ${microversion}`,
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${text}`);
    return (text === "" ? null : JSON.parse(text)) as T;
  }

  async act(serverId: string, action: Record<string, unknown>): Promise<void> {
    await this.request("POST", `/compute/v2.1/servers/${serverId}/action`, action);
  }

  async server(id: string): Promise<ServerView> {
    return (await this.request<{ server: ServerView }>("GET", `/compute/v2.1/servers/${id}`)).server;
  }

  async migrations(serverId: string): Promise<MigrationView[]> {
    const path = `/compute/v2.1/os-migrations?instance_uuid=${serverId}`;
    return (await this.request<{ migrations: MigrationView[] }>("GET", path)).migrations;
  }

  /** Ids of the server's ports. */
  async ports(serverId: string): Promise<string[]> {
    const { interfaceAttachments: cards } = await this.request<{ interfaceAttachments: { port_id: string }[] }>(
      "GET",
      `/compute/v2.1/servers/${serverId}/os-interface`,
    );
    return cards.map(({ port_id }) => port_id);
  }

  async services(host: string): Promise<ServiceView[]> {
    const path = `/compute/v2.1/os-services?binary=nova-compute&host=${host}`;
    return (await this.request<{ services: ServiceView[] }>("GET", path)).services;
  }

  /** Operations of the server that have not ended. */
  async liveOperations(serverId: string): Promise<{ id: string; name: string; state: string }[]> {
    const path = `/v1/operations?resource_id=${serverId}&state=ready,running,waiting,stuck`;
    return (await this.request<{ operations: [] }>("GET", path)).operations;
  }

  /** The last operation of that name on the server, with its steps and what went wrong in them. */
  async lastOperation(serverId: string, name: string): Promise<Record<string, unknown>> {
    const { operations } = await this.request<{ operations: { id: string; name: string; created_at: string }[] }>(
      "GET",
      `/v1/operations?resource_id=${serverId}`,
    );
    const last = operations
      .filter((each) => each.name === name)
      .reduce((a, b) => (b.created_at > a.created_at ? b : a));
    return (await this.request<{ operation: Record<string, unknown> }>("GET", `/v1/operations/${last.id}`)).operation;
  }

  /** Waits for a server at rest that `wanted` accepts; throws when it comes to rest in ERROR, or not in time. */
  async untilServer(id: string, wanted: (server: ServerView) => boolean, limitMs = 240_000): Promise<ServerView> {
    const end = systemClock.now() + limitMs;
    for (;;) {
      const server = await this.server(id);
      const atRest = server["OS-EXT-STS:task_state"] === null;
      if (atRest && wanted(server)) return server;
      if ((atRest && server.status === "ERROR") || systemClock.now() > end)
        throw new Error(`the server is not as it should be: ${JSON.stringify(server)}`);
      await sleep(systemClock, POLL_MS);
    }
  }

  async untilStatus(id: string, status: string, limitMs?: number): Promise<ServerView> {
    return await this.untilServer(id, (server) => server.status === status, limitMs);
  }

  async #tokenNow(): Promise<string> {
    if (this.#token && systemClock.now() < this.#token.until) return this.#token.value;
    const { address, username, password } = this.#options;
    const domain = { name: "Default" };
    const auth = {
      identity: { methods: ["password"], password: { user: { name: username, password, domain } } },
      scope: { project: { name: username, domain } },
    };
    const answer = await this.#send(`${address}/identity/v3/auth/tokens`, "POST", { auth }, {});
    const value = answer.headers.get("x-subject-token");
    if (value === null) throw new Error(`no token: ${answer.status} ${await answer.text()}`);
    this.#token = { value, until: systemClock.now() + TOKEN_LIFE_MS };
    return value;
  }

  async #send(url: string, method: string, body: unknown, headers: Record<string, string>): Promise<Response> {
    const end = systemClock.now() + AWAY_LIMIT_MS;
    for (;;) {
      try {
        return await fetch(url, {
          method,
          headers: { ...headers, ...(body === undefined ? {} : { "content-type": "application/json" }) },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
      } catch (error) {
        if (systemClock.now() > end) throw error;
        await sleep(systemClock, POLL_MS);
      }
    }
  }
}
