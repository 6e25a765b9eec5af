import type { Clock } from "../../kernel/clock/clock.ts";
import { isUp, listServices } from "../../kernel/fleet/services.ts";
import type { FleetSettings } from "../../kernel/fleet/settings.ts";
import type { Metrics } from "../../kernel/http/metrics.ts";
import { countOperations } from "../../kernel/operations/queries.ts";
import type { Store } from "../../kernel/store/store.ts";

/** What only the whole program can tell: operations by kind and state, the age of the queue, agents. */
export function registerGauges(metrics: Metrics, deps: { store: Store; clock: Clock; fleet: FleetSettings }): void {
  const { store, clock, fleet } = deps;
  const counts = () => countOperations(store.read, clock.now());
  metrics.gauge("pileus_operations", "Operations that have not ended, by kind and state.", async () =>
    (await counts()).byNameAndState.map(({ name, state, count }) => ({ labels: { kind: name, state }, value: count })),
  );
  metrics.gauge("pileus_operations_late", "Operations past their deadline.", async () => [
    { value: (await counts()).late },
  ]);
  metrics.gauge(
    "pileus_operations_queue_age_seconds",
    "How long the oldest due operation has waited for a runner.",
    async () => [{ value: (await counts()).queueAgeMs / 1000 }],
  );
  metrics.gauge("pileus_services", "Service records, by binary and liveness.", async () => {
    const rows = await listServices(store.read);
    const groups = Map.groupBy(rows, (row) => `${row.binary_name} ${isUp(row, clock.now(), fleet) ? "up" : "down"}`);
    return [...groups].map(([key, group]) => {
      const [binary = "", state = ""] = key.split(" ");
      return { labels: { binary, state }, value: group.length };
    });
  });
}
