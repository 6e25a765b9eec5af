import { createHttpServer, type HttpServer } from "../../../kernel/http/server.ts";
import { roleTokens } from "../../../kernel/http/testing.ts";
import { Loggers } from "../../../kernel/log/logger.ts";
import { Policy } from "../../../kernel/policy/policy.ts";
import { createImageService, type ImageService } from "../service.ts";
import type { ImageWorld } from "./image-world.ts";

/** Answers are as varied as the API: unchecked, for assertions only. */
export type Json = ReturnType<typeof JSON.parse>;

export interface Answer {
  readonly status: number;
  /** Parsed when the answer is JSON. */
  readonly body: Json;
  readonly headers: Readonly<Record<string, unknown>>;
}

/** This service alone, behind a listener that is asked without a socket (`ask`) or with one (`http.listen`). */
export interface ImageServer {
  readonly http: HttpServer;
  readonly service: ImageService;
  ask(
    token: string,
    method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE",
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Answer>;
}

export function imageServer({ context, dir }: ImageWorld): ImageServer {
  const loggers = new Loggers({ destination: { write: () => undefined } });
  const { store, clock, ids, maxImageBytes } = context;
  const service = createImageService({ store, clock, ids }, { dataDir: dir, maxImageBytes });
  const http = createHttpServer({
    faces: service.manifest.faces,
    loggers,
    clock,
    ids,
    policy: new Policy({ defaults: service.manifest.policies, log: loggers.get("policy") }),
    authenticator: roleTokens,
    identityPath: "/identity/v3",
  });
  return {
    http,
    service,
    async ask(token, method, path, body, headers = {}) {
      const answer = await http.inject({
        method,
        url: `/image${path}`,
        headers: { ...(token === "" ? {} : { "x-auth-token": token }), ...headers },
        ...(body === undefined ? {} : { payload: body as object }),
      });
      const isJson = String(answer.headers["content-type"]).startsWith("application/json") && answer.body !== "";
      return { status: answer.statusCode, body: isJson ? answer.json() : answer.body, headers: answer.headers };
    },
  };
}
