import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { DEFAULT_BODY_LIMIT } from "./face.ts";
import type { FaceRuntime } from "./face-runtime.ts";
import { methodNotAllowed } from "./http-errors.ts";
import { Pipeline, type PipelineSettings } from "./pipeline.ts";
import type { Route } from "./route.ts";
import { groupRoutes } from "./route-table.ts";
import { ServerRequest } from "./server-request.ts";

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/** Registers the routes of a face: those whose bodies the kernel reads, and in a scope apart those that read their own. */
export function mount(
  fastify: FastifyInstance,
  runtime: FaceRuntime,
  routes: readonly Route[],
  settings: PipelineSettings,
): void {
  const { face } = runtime;
  const groups = groupRoutes(face, routes);
  const raw = new Set([...groups].filter(([, [first]]) => first.rawBody).map(([key]) => key));
  for (const rawBody of [false, true]) {
    void fastify.register(async (scope) => {
      if (!rawBody) readBodies(scope);
      for (const [key, group] of groups) {
        if (raw.has(key) !== rawBody) continue;
        const [method = "", url = ""] = key.split(" ");
        const pipeline = new Pipeline(runtime, group, settings);
        scope.route({
          method,
          url,
          bodyLimit: face.bodyLimit ?? DEFAULT_BODY_LIMIT,
          ...(method === "GET" || method === "HEAD" ? {} : { onRequest: dropEmptyContentType }),
          handler: (request, reply) => pipeline.serve(request, reply),
          errorHandler: (error, request, reply) => void pipeline.serveUnread(request, reply, error),
        });
      }
    });
  }
  if (face.errors.wrongMethod === 405) refuseOtherMethods(fastify, runtime, new Set(groups.keys()), settings);
}

/** Bodies stay unread, whatever their type. */
export function leaveBodies(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser("*", (_request, _payload, done) => done(null));
}

function readBodies(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
}

/** An empty content type counts as none; Fastify would refuse it. */
function dropEmptyContentType(request: FastifyRequest, _reply: FastifyReply, done: () => void): void {
  if (request.raw.headers["content-type"] === "") delete request.raw.headers["content-type"];
  done();
}

/** The other methods of known paths. */
function refuseOtherMethods(
  fastify: FastifyInstance,
  runtime: FaceRuntime,
  declared: ReadonlySet<string>,
  settings: PipelineSettings,
): void {
  const { responder, clock } = settings;
  void fastify.register(async (scope) => {
    for (const url of new Set([...declared].map((key) => key.split(" ")[1] ?? ""))) {
      const allowed = METHODS.filter((method) => declared.has(`${method} ${url}`));
      const handler = (raw: FastifyRequest, reply: FastifyReply) => {
        const request = new ServerRequest(runtime.face, raw, reply.raw, settings);
        reply.raw.setHeader("Allow", allowed.join(", "));
        responder.sendError(runtime, request, reply, methodNotAllowed(), clock.now());
      };
      const refused = METHODS.filter((method) => !allowed.includes(method));
      scope.route({ method: refused, url, handler, errorHandler: (_unreadBody, raw, reply) => handler(raw, reply) });
    }
  });
}
