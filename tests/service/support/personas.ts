import type { RunningProgram } from "../../../apps/server/testing/running-program.ts";
import { ADMIN_PASSWORD } from "../../../apps/server/testing/test-settings.ts";
import { systemClock } from "../../../kernel/clock/clock.ts";
import { createHttpServer } from "../../../kernel/http/server.ts";
import { systemIds } from "../../../kernel/ids/ids.ts";
import type { Credentials } from "../../../kernel/policy/credentials.ts";
import { createIdentityService } from "../../../services/identity/service.ts";
import type { CloudClient } from "./cloud-client.ts";

/** Somebody with a valid token. */
export interface Persona {
  readonly name: string;
  readonly token: string;
  /** Who the token speaks for, as policy sees it. */
  readonly credentials: Credentials;
}

export interface People {
  readonly admin: Persona;
  /** Owns what the walk asks about, in the project of the first four. */
  readonly member: Persona;
  readonly all: readonly Persona[];
  /** Tokens that speak for nobody, by what is wrong with them. */
  readonly worthless: ReadonlyMap<string, string | undefined>;
  readonly projectId: string;
  readonly memberId: string;
}

const PASSWORD = "walker-password";
const DAY_MS = 86_400_000;

/** One of each kind: by role in one project, of another project, and with the other scopes. */
export async function invitePeople(program: RunningProgram, client: CloudClient): Promise<People> {
  const inProject = (id: string) => ({ project: { id } });
  const token = await client.logIn(
    { name: "admin", password: ADMIN_PASSWORD },
    inProject(program.server.cloud.adminProjectId),
  );
  const put = (path: string) => client.must({ method: "PUT", path: `/identity/v3${path}`, token });
  const post = <T>(path: string, body: unknown) =>
    client.must<T>({ method: "POST", path: `/identity/v3${path}`, token, body });
  const { roles } = await client.must<{ roles: { id: string; name: string }[] }>({
    method: "GET",
    path: "/identity/v3/roles",
    token,
  });
  const roleId = (name: string) => roles.find((role) => role.name === name)?.id ?? "";
  const projectId = (await post<{ project: { id: string } }>("/projects", { project: { name: "walk" } })).project.id;
  const elsewhere = (await post<{ project: { id: string } }>("/projects", { project: { name: "elsewhere" } })).project
    .id;
  const userIds = new Map<string, string>();
  const invite = async (name: string, role: string, where: string, scope: unknown): Promise<Persona> => {
    const { user } = await post<{ user: { id: string } }>("/users", { user: { name, password: PASSWORD } });
    userIds.set(name, user.id);
    await put(`${where}/users/${user.id}/roles/${roleId(role)}`);
    return await persona(client, name, await client.logIn({ id: user.id, password: PASSWORD }, scope));
  };
  const here = [`/projects/${projectId}`, inProject(projectId)] as const;
  const reader = await invite("reader", "reader", ...here);
  const member = await invite("member", "member", ...here);
  const all = [
    reader,
    member,
    await invite("manager", "manager", ...here),
    await persona(client, "admin", token),
    await invite("service", "service", `/projects/${elsewhere}`, inProject(elsewhere)),
    await invite("stranger", "member", `/projects/${elsewhere}`, inProject(elsewhere)),
    await invite("system admin", "admin", "/system", { system: { all: true } }),
    await invite("system reader", "reader", "/system", { system: { all: true } }),
    await invite("domain manager", "manager", "/domains/default", { domain: { id: "default" } }),
  ];
  const memberId = userIds.get("member") ?? "";
  const worthless = new Map([
    ["no token", undefined],
    ["garbage", "gAAAAAB-this.is.no-token"],
    ["expired", await expiredToken(program, memberId, projectId)],
  ]);
  return { admin: all[3] ?? member, member, all, worthless, projectId, memberId };
}

interface TokenBody {
  readonly token: {
    readonly user: { readonly id: string; readonly domain: { readonly id: string } };
    readonly project?: { readonly id: string; readonly domain: { readonly id: string } };
    readonly domain?: { readonly id: string };
    readonly system?: { readonly all: boolean };
    readonly roles: readonly { readonly name: string }[];
  };
}

async function persona(client: CloudClient, name: string, token: string): Promise<Persona> {
  const { token: told } = await client.must<TokenBody>({
    method: "GET",
    path: "/identity/v3/auth/tokens",
    token,
    headers: { "X-Subject-Token": token },
  });
  const credentials: Credentials = {
    userId: told.user.id,
    userDomainId: told.user.domain.id,
    projectId: told.project?.id ?? null,
    projectDomainId: told.project?.domain.id ?? null,
    domainId: told.domain?.id ?? null,
    systemScope: told.system?.all ? "all" : null,
    roles: told.roles.map((role) => role.name),
  };
  return { name, token, credentials };
}

/** Signed by the cloud's own key, for somebody who exists, and over: made by an identity service whose clock is a day late. */
async function expiredToken(program: RunningProgram, userId: string, projectId: string): Promise<string> {
  const clock = { ...systemClock, now: () => systemClock.now() - DAY_MS };
  const { store, loggers, policy } = program.server;
  const late = createIdentityService(
    { store, clock, ids: systemIds },
    { tokenLifeMs: 3_600_000, region: "", catalog: [] },
  );
  const http = createHttpServer({
    faces: late.manifest.faces,
    loggers,
    clock,
    ids: systemIds,
    policy,
    authenticator: late.authenticator,
    identityPath: "/identity/v3",
  });
  const identity = { methods: ["password"], password: { user: { id: userId, password: PASSWORD } } };
  const answer = await http.inject({
    method: "POST",
    url: "/identity/v3/auth/tokens",
    payload: { auth: { identity, scope: { project: { id: projectId } } } },
  });
  await http.close(0);
  if (answer.statusCode !== 201) throw new Error(`expired token: ${answer.statusCode} ${answer.body}`);
  return String(answer.headers["x-subject-token"]);
}
