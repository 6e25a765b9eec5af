import type { Logger } from "../log/logger.ts";
import type { Counter, Histogram, Metrics } from "./metrics.ts";
import type { Endpoint } from "./route.ts";
import type { ServerRequest } from "./server-request.ts";

/** The series of one endpoint, looked up once. */
interface EndpointSeries {
  readonly took: Histogram;
  readonly byMethod: Map<string, Map<number, Counter>>;
}

/** Counts and logs each answer. Lines hold no query and no header, so no secret. */
export class Observer {
  readonly #log: Logger;
  readonly #requests: ReturnType<Metrics["counter"]>;
  readonly #seconds: ReturnType<Metrics["histogram"]>;
  readonly #series = new Map<Endpoint | undefined, EndpointSeries>();

  constructor(metrics: Metrics, log: Logger) {
    this.#log = log;
    this.#requests = metrics.counter("pileus_http_requests_total", "Requests answered.");
    this.#seconds = metrics.histogram("pileus_http_request_duration_seconds", "Time to answer a request.");
  }

  observe(request: ServerRequest, status: number, tookMs: number): void {
    const { endpoint, method } = request;
    const face = request.face.name;
    const route = endpoint?.name ?? "unrouted";
    let series = this.#series.get(endpoint);
    if (!series) {
      series = { took: this.#seconds.with({ face, route }), byMethod: new Map() };
      this.#series.set(endpoint, series);
    }
    series.took.observe(tookMs / 1000);
    this.#counter(series, { face, route, method }, status).add();
    const line = { requestId: request.requestId, face, route, method, status, tookMs };
    if (method === "GET" || method === "HEAD") {
      this.#log.debug(line, "request");
      return;
    }
    const { credentials } = request;
    this.#log.info(
      {
        ...line,
        path: request.path,
        globalRequestId: request.globalRequestId,
        userId: credentials?.userId,
        projectId: credentials?.projectId,
        host: request.agentIdentity?.host,
      },
      "request",
    );
  }

  #counter(series: EndpointSeries, labels: { face: string; route: string; method: string }, status: number): Counter {
    let byStatus = series.byMethod.get(labels.method);
    if (!byStatus) {
      byStatus = new Map();
      series.byMethod.set(labels.method, byStatus);
    }
    let counter = byStatus.get(status);
    if (!counter) {
      counter = this.#requests.with({ ...labels, status: String(status) });
      byStatus.set(status, counter);
    }
    return counter;
  }
}
