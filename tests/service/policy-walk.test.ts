import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type RunningProgram, runProgram } from "../../apps/server/testing/running-program.ts";
import { CloudClient } from "./support/cloud-client.ts";
import { invitePeople, type People, type Persona } from "./support/personas.ts";
import { plausible, type WalkedEndpoint, walkedEndpoints } from "./support/walked-endpoints.ts";
import { makeResources, ownedBy, ownOf, type Resources } from "./support/walked-resources.ts";

/** Routes that ask for no token; everything else does. */
const OPEN: readonly string[] = [
  "agents: agents.join",
  "compute-legacy: compute-legacy.version",
  "compute: compute.version",
  "compute: compute.versions",
  "identity: auth.tokens.create",
  "identity: health.probe",
  "identity: health.show",
  "identity: users.changePassword",
  "identity: versions.list",
  "identity: versions.show",
  "image: versions.root",
  "image: versions.root.versions",
  "image: versions.version",
  "kernel: kernel.health",
  "kernel: kernel.metrics",
  "network: versions.list",
  "volume: health.probe",
  "volume: health.show",
  "volume: volume.versions",
];

/** Refused although the first rule allows: the catalog is one of a project; a list without a project means that of all. */
const REFUSED_LATER: readonly string[] = [
  "identity: auth.catalog",
  "compute: migrations.list",
  "compute-legacy: migrations.list",
];

/** Who changes or deletes users, projects, roles and tokens has nobody left to ask with. */
function isAboutPeople({ face, route, aboutOne }: WalkedEndpoint): boolean {
  return face.name === "identity" && aboutOne && !/application_credentials|access_rules/.test(route.path);
}

/** Ways to ask for what others have. */
const QUERIES = [
  "",
  "?all_tenants=1",
  "?all_projects=1",
  "?project_id=PROJECT",
  "?tenant_id=PROJECT",
  "?owner=PROJECT",
];

/** What only its project and administrators see. */
const PRIVATE: readonly string[] = [
  "/compute/servers",
  "/compute/os-server-groups",
  "/network/networks",
  "/network/subnets",
  "/network/ports",
  "/network/security-groups",
  "/network/security-group-rules",
  "/image/images",
  "/volume/volumes",
  "/v1/operations",
];

/** What the walk is done with. */
const PERSONAS = [
  "reader",
  "member",
  "manager",
  "admin",
  "service",
  "stranger",
  "system admin",
  "system reader",
  "domain manager",
];

/**
 * Walks every route and action with tokens of every kind. Those who may not are asked about what really exists; those
 * who may are asked about it only where nothing changes, so that the next have something to ask about.
 */
describe("who may do what, on every route", () => {
  let program: RunningProgram;
  let client: CloudClient;
  let people: People;
  let resources: Resources;
  let endpoints: readonly WalkedEndpoint[];

  before(async () => {
    program = await runProgram({ hosts: 2 });
    await program.server.seedSimulatedImage();
    client = new CloudClient(program.server.address);
    people = await invitePeople(program, client);
    resources = await makeResources(client, people);
    endpoints = walkedEndpoints(program.server.http.faces);
  });
  after(async () => {
    client.close();
    await program.close();
  });

  /** Asks about each endpoint; returns what is wrong with the answers, as lines. */
  const walk = async (
    chosen: (walked: WalkedEndpoint) => boolean,
    ask: (walked: WalkedEndpoint) => Promise<string | undefined>,
  ): Promise<void> => {
    const wrong: string[] = [];
    for (const walked of endpoints.filter(chosen)) {
      const line = await ask(walked);
      if (line !== undefined) wrong.push(`${walked.name} (${walked.route.method} ${walked.route.path}) ${line}`);
    }
    assert.deepEqual(wrong, []);
  };

  it("only these routes need no token", () => {
    assert.deepEqual(
      endpoints
        .filter(({ auth }) => auth === "none")
        .map(({ name }) => name)
        .toSorted(),
      OPEN,
    );
  });

  for (const kind of ["no token", "garbage", "expired"]) {
    it(`${kind}: 401`, () =>
      walk(
        ({ auth }) => auth !== "none",
        async (walked) => {
          const token = people.worthless.get(kind);
          const answer = await client.ask({ ...plausible(walked, resources), token });
          return answer.status === 401 ? undefined : `${answer.status} ${answer.text.slice(0, 200)}`;
        },
      ));
  }

  it("a user's token is no agent's", () =>
    walk(
      ({ auth }) => auth === "agent",
      async (walked) => {
        const { token } = people.admin;
        const ask = plausible(walked, resources);
        const answer = await client.ask({
          ...ask,
          token,
          headers: { ...ask.headers, Authorization: `Bearer ${token}` },
        });
        return answer.status === 401 ? undefined : `${answer.status}`;
      },
    ));

  const allowedBy = ({ endpoint, aboutOne }: WalkedEndpoint, persona: Persona): boolean[] => {
    const target = aboutOne ? ownedBy(people) : ownOf(persona);
    return [...endpoint.rules].map((rule) => program.server.policy.check(rule, persona.credentials, target));
  };
  const mayAny = (walked: WalkedEndpoint, persona: Persona): boolean =>
    walked.endpoint.authenticatedIsEnough || allowedBy(walked, persona)[0] === true;
  /** Whatever of its rules a request turns out to need. */
  const mayWholly = (walked: WalkedEndpoint, persona: Persona): boolean =>
    walked.endpoint.authenticatedIsEnough || allowedBy(walked, persona).every(Boolean);

  for (const name of PERSONAS) {
    it(`${name}: what the rules deny is denied, and nothing breaks`, () =>
      walk(
        ({ auth }) => auth === "token",
        async (walked) => {
          const persona = people.all.find((each) => each.name === name) ?? people.member;
          const may = mayAny(walked, persona);
          const known = may && !walked.harmless ? null : resources;
          const owner = persona.credentials.projectId === null ? people.projectId : undefined;
          const answer = await client.ask({ ...plausible(walked, known, owner), token: persona.token });
          const { status } = answer;
          const told = `${status} ${answer.text.slice(0, 160)}`;
          if (status >= 500 || status === 401) return told;
          if (!may) return status === 403 || status === 404 ? undefined : `denied, but ${told}`;
          return walked.harmless && status === 403 && !REFUSED_LATER.includes(walked.name)
            ? `allowed, but ${told}`
            : undefined;
        },
      ));
  }

  for (const name of ["member", "manager", "admin"]) {
    it(`${name}: what the rules allow is not refused, where it changes something either`, async () => {
      const persona = people.all.find((each) => each.name === name) ?? people.member;
      const own = await makeResources(client, people, `walk-${name}`);
      // What takes things away comes last, so that the others have something to change.
      const order = ({ route, endpoint }: WalkedEndpoint) =>
        Number(route.method === "DELETE" || /delete|remove|unmanage/i.test(endpoint.name));
      endpoints = endpoints.toSorted((a, b) => order(a) - order(b));
      await walk(
        (walked) => walked.auth === "token" && !walked.harmless && mayWholly(walked, persona) && !isAboutPeople(walked),
        async (walked) => {
          const answer = await client.ask({ ...plausible(walked, own), token: persona.token });
          const { status } = answer;
          if (status !== 401 && status !== 403 && status < 500) return undefined;
          return `allowed, but ${status} ${answer.text.slice(0, 160)}`;
        },
      );
    });
  }

  it("lists show the member what is the member's", async () => {
    const { token } = people.member;
    const lists = endpoints.filter(
      ({ auth, harmless, aboutOne, route }) =>
        auth === "token" && harmless && !aboutOne && !route.path.endsWith("/events"),
    );
    const seen: string[] = [];
    for (const walked of lists) seen.push((await client.ask({ ...plausible(walked, resources), token })).text);
    const unseen = PRIVATE.filter((kind) => !seen.some((text) => text.includes(resources.get(kind) ?? "?")));
    assert.deepEqual(unseen, []);
  });

  it("nothing that others see holds the id of what belongs to the member", () => {
    const secret = [...resources].filter(([kind]) => PRIVATE.includes(kind)).map(([, id]) => id);
    assert.equal(secret.length, PRIVATE.length);
    return walk(
      ({ auth, harmless, aboutOne, route }) =>
        auth === "token" && harmless && !aboutOne && !route.path.endsWith("/events"),
      async (walked) => {
        for (const name of ["stranger", "service", "domain manager", "system reader"]) {
          const token = people.all.find((each) => each.name === name)?.token;
          for (const query of QUERIES) {
            const ask = plausible(walked, resources);
            const path = ask.path + query.replace("PROJECT", people.projectId);
            const answer = await client.ask({ ...ask, path, token });
            if (answer.status >= 500) return `${query} ${answer.status}`;
            const seen = secret.find((id) => answer.text.includes(id));
            if (seen !== undefined) return `${query} shows ${seen} to the ${name}`;
          }
        }
        return undefined;
      },
    );
  });
});
