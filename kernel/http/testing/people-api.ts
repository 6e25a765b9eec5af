import type { Clock } from "../../clock/clock.ts";
import { CloudError } from "../../errors/cloud-error.ts";
import { systemIds } from "../../ids/ids.ts";
import { Loggers, silentLogger } from "../../log/logger.ts";
import type { Credentials } from "../../policy/credentials.ts";
import { Policy, type RuleDefault } from "../../policy/policy.ts";
import { createHttpServer, type HttpServer, type ServedFace } from "../server.ts";

export const PROJECT = "11111111111111111111111111111111";
export const OTHER_PROJECT = "22222222222222222222222222222222";

/** Who may be asked for, by token. */
export const PEOPLE = {
  admin: person("admin", PROJECT, ["admin", "manager", "member", "reader"]),
  manager: person("manager", PROJECT, ["manager", "member", "reader"]),
  member: person("member", PROJECT, ["member", "reader"]),
  reader: person("reader", PROJECT, ["reader"]),
  stranger: person("stranger", OTHER_PROJECT, ["member", "reader"]),
  otherAdmin: person("otherAdmin", OTHER_PROJECT, ["admin", "manager", "member", "reader"]),
  service: person("service", OTHER_PROJECT, ["service"]),
  systemAdmin: { ...person("systemAdmin", PROJECT, ["admin"]), projectId: null, systemScope: "all" as const },
};
export type Person = keyof typeof PEOPLE;

function person(name: string, projectId: string, roles: readonly string[]): Credentials {
  return { userId: `user-${name}`, projectId, domainId: null, systemScope: null, roles };
}

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into any body
  readonly body: any;
  readonly headers: Readonly<Record<string, unknown>>;
}

export interface AskOptions {
  readonly version?: string;
  /** Sent as it is when a text, else as JSON. */
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  /** Face; the service's own when absent. */
  readonly root?: string;
}

/** Asks as this person, or without a token. */
export type AskAs = (who: Person | null, method: string, path: string, options?: AskOptions) => Promise<Answer>;

/** The faces of a service, for these people. `root`: the face that is asked when none is named; `service`: its word for microversions. */
export function peopleApi(options: {
  readonly faces: readonly ServedFace[];
  readonly policies: readonly RuleDefault[];
  readonly clock: Clock;
  readonly root: string;
  readonly service: string;
}): { readonly http: HttpServer; readonly ask: AskAs } {
  const http = createHttpServer({
    faces: options.faces,
    loggers: new Loggers({ destination: { write: () => undefined } }),
    clock: options.clock,
    ids: systemIds,
    policy: new Policy({ defaults: options.policies, log: silentLogger }),
    authenticator: {
      async authenticate(token) {
        const found = PEOPLE[token as Person];
        if (!found) throw new CloudError("unauthenticated", "http.unauthenticated", "The token is not valid.");
        return found;
      },
    },
    identityPath: "/identity/v3",
  });
  const ask: AskAs = async (who, method, path, { root, version, body, headers } = {}) => {
    const reply = await http.inject({
      method: method as "GET",
      url: `${root ?? options.root}${path}`,
      headers: {
        ...(who === null ? {} : { "x-auth-token": who }),
        ...(version === undefined ? {} : { "openstack-api-version": `${options.service} ${version}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { payload: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    return {
      status: reply.statusCode,
      body: reply.body === "" ? undefined : JSON.parse(reply.body),
      headers: reply.headers,
    };
  };
  return { http, ask };
}
