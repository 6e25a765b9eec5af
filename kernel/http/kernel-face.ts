import type { Metrics } from "./metrics.ts";
import { pileusFace } from "./pileus-face.ts";
import { type Route, route } from "./route.ts";

/** One thing that must work for the server to be of use. */
export interface HealthCheck {
  readonly name: string;
  /** Throws or rejects when it does not work. */
  check(): Promise<void> | void;
}

/** Paths that belong to no service. */
export const kernelFace = pileusFace({
  name: "kernel",
  root: "",
  forStrangers: true,
});

export function kernelRoutes(metrics: Metrics, checks: readonly HealthCheck[]): Route[] {
  return [
    route({
      name: "kernel.health",
      method: "GET",
      path: "/healthz",
      auth: "none",
      async handler() {
        const results = await Promise.all(checks.map(runCheck));
        const healthy = results.every(({ ok }) => ok);
        return { status: healthy ? 200 : 503, body: { status: healthy ? "ok" : "failing", checks: results } };
      },
    }),
    route({
      name: "kernel.metrics",
      method: "GET",
      path: "/metrics",
      auth: "none",
      handler: async () => ({ raw: await metrics.render(), contentType: "text/plain; version=0.0.4; charset=utf-8" }),
    }),
  ];
}

/** Says which check fails, not why: that may hold what a stranger must not read. */
async function runCheck({ name, check }: HealthCheck): Promise<{ name: string; ok: boolean }> {
  try {
    await check();
    return { name, ok: true };
  } catch {
    return { name, ok: false };
  }
}
