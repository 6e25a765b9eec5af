import { createHttpServer, type HttpServer } from "../../../kernel/http/server.ts";
import { roleTokens } from "../../../kernel/http/testing.ts";
import { Loggers } from "../../../kernel/log/logger.ts";
import { Policy } from "../../../kernel/policy/policy.ts";
import type { Store } from "../../../kernel/store/store.ts";
import { createNetworkService, type NetworkOptions, type NetworkService } from "../service.ts";
import { testContext } from "./network-world.ts";

/** Answers are as varied as the API: unchecked, for assertions only. */
export type Json = ReturnType<typeof JSON.parse>;

export interface Answer {
  readonly status: number;
  readonly body: Json;
}

/** This service alone, behind a listener that is asked without a socket. */
export interface NetworkServer {
  readonly http: HttpServer;
  readonly service: NetworkService;
  ask(token: string, method: "GET" | "POST" | "PUT" | "DELETE", path: string, body?: unknown): Promise<Answer>;
}

export function networkServer(store: Store, options: NetworkOptions = {}): NetworkServer {
  const loggers = new Loggers({ destination: { write: () => undefined } });
  const service = createNetworkService({ store, clock: testContext.clock, ids: testContext.ids }, options);
  const http = createHttpServer({
    faces: service.manifest.faces,
    loggers,
    clock: testContext.clock,
    ids: testContext.ids,
    policy: new Policy({ defaults: service.manifest.policies, log: loggers.get("policy") }),
    authenticator: roleTokens,
    identityPath: "/identity/v3",
  });
  return {
    http,
    service,
    async ask(token, method, path, body) {
      const answer = await http.inject({
        method,
        url: `/network${path}`,
        headers: token === "" ? {} : { "x-auth-token": token },
        ...(body === undefined ? {} : { payload: body as object }),
      });
      return { status: answer.statusCode, body: answer.body === "" ? null : answer.json() };
    },
  };
}
