import type { FastifyReply, FastifyRequest } from "fastify";
import { CloudError } from "../errors/cloud-error.ts";
import { authenticateToken } from "./authenticate.ts";
import { allowOrigin, answerPreflight } from "./cors.ts";
import type { FaceRuntime } from "./face-runtime.ts";
import { requestError, unrouted } from "./http-errors.ts";
import type { PipelineSettings } from "./pipeline.ts";
import { pathOf, ServerRequest } from "./server-request.ts";
import { versionPrefix } from "./urls.ts";

/** Answers what no route matches, in the manner of the face under whose path it lies. */
export class Fallback {
  readonly #byPrefix: readonly FaceRuntime[];
  readonly #byRoot: readonly FaceRuntime[];
  readonly #settings: PipelineSettings;

  /** One face must have an empty root: it answers for all that lies under no other. */
  constructor(runtimes: readonly FaceRuntime[], settings: PipelineSettings) {
    this.#byPrefix = runtimes.toSorted((a, b) => versionPrefix(b.face).length - versionPrefix(a.face).length);
    this.#byRoot = runtimes.toSorted((a, b) => b.face.root.length - a.face.root.length);
    this.#settings = settings;
  }

  async serve(raw: FastifyRequest, reply: FastifyReply): Promise<void> {
    const startedAt = this.#settings.clock.now();
    const path = pathOf(raw.raw.url ?? "/");
    const runtime = this.#runtimeFor(path);
    const { face } = runtime;
    const request = new ServerRequest(face, raw, reply.raw, this.#settings);
    const { responder, cors } = this.#settings;
    try {
      if (request.method === "OPTIONS" && allowOrigin(cors, face, request.headers.origin, reply.raw)) {
        reply.hijack();
        answerPreflight(face, request.headers["access-control-request-headers"]?.toString(), reply.raw);
        return;
      }
      if (face.errors.unknownVersion && !under(path, versionPrefix(face))) {
        const answer = face.errors.unknownVersion({ path, urls: request.urls });
        responder.send(runtime, request, reply, answer, startedAt);
        return;
      }
      if (face.errors.unroutedNeedsToken && under(path, versionPrefix(face))) {
        await authenticateToken(this.#settings.authenticator, request.token, request);
      }
      throw unrouted();
    } catch (error) {
      responder.sendError(runtime, request, reply, error, startedAt);
    }
  }

  /** A path that cannot even be read: broken percent-encoding, a part that is too long. */
  unreadable(raw: FastifyRequest, reply: FastifyReply, error: unknown): void {
    const runtime = this.#runtimeFor(pathOf(raw.raw.url ?? "/"));
    const request = new ServerRequest(runtime.face, raw, reply.raw, this.#settings);
    const { responder, clock } = this.#settings;
    responder.sendError(runtime, request, reply, requestError(400, error), clock.now());
  }

  #runtimeFor(path: string): FaceRuntime {
    const found =
      this.#byPrefix.find(({ face }) => versionPrefix(face) !== "" && under(path, versionPrefix(face))) ??
      this.#byRoot.find(({ face }) => under(path, face.root));
    if (!found) throw new CloudError("internal", "http.faces", "An unexpected error occurred.");
    return found;
  }
}

function under(path: string, prefix: string): boolean {
  return path.startsWith(prefix) && (path.length === prefix.length || prefix === "" || path[prefix.length] === "/");
}
