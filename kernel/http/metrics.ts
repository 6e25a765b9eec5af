/** Prometheus metrics of one process: a registry of counters, gauges and histograms with labels. */

type Labels = Readonly<Record<string, string>>;

/** One line of a gauge that is read when asked for. */
export interface Sample {
  readonly labels?: Labels;
  readonly value: number;
}

/** One labelled number; keep it and call it, rather than looking it up each time. */
export class Counter {
  value = 0;

  add(by = 1): void {
    this.value += by;
  }
}

/** Seconds from half a millisecond to a minute. */
export const LATENCY_BUCKETS: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60,
];

export class Histogram {
  readonly bounds: readonly number[];
  readonly counts: number[];
  sum = 0;
  count = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = bounds.map(() => 0);
  }

  /** In the unit of the bounds. Each value is counted in its own bucket only; `render` adds them up. */
  observe(value: number): void {
    this.sum += value;
    this.count += 1;
    for (let i = 0; i < this.bounds.length; i += 1) {
      if (value <= (this.bounds[i] ?? 0)) {
        this.counts[i] = (this.counts[i] ?? 0) + 1;
        return;
      }
    }
  }
}

/** All series of one metric name. */
class Family<Series> {
  readonly series = new Map<string, Series>();
  readonly make: () => Series;

  constructor(make: () => Series) {
    this.make = make;
  }

  with(labels: Labels): Series {
    const key = labelText(labels);
    let found = this.series.get(key);
    if (!found) {
      found = this.make();
      this.series.set(key, found);
    }
    return found;
  }
}

interface Registered {
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  render(name: string): string[] | Promise<string[]>;
}

export class Metrics {
  readonly #registered = new Map<string, Registered>();

  /** Goes up only. */
  counter(name: string, help: string): { with(labels: Labels): Counter } {
    const family = new Family(() => new Counter());
    this.#register(name, {
      help,
      type: "counter",
      render: (metric) => [...family.series].map(([labels, series]) => `${metric}${braces(labels)} ${series.value}`),
    });
    return family;
  }

  histogram(name: string, help: string, bounds = LATENCY_BUCKETS): { with(labels: Labels): Histogram } {
    const family = new Family(() => new Histogram(bounds));
    this.#register(name, {
      help,
      type: "histogram",
      render: (metric) => [...family.series].flatMap(([labels, series]) => histogramLines(metric, labels, series)),
    });
    return family;
  }

  /** Read by `read` each time somebody looks. */
  gauge(name: string, help: string, read: () => readonly Sample[] | Promise<readonly Sample[]>): void {
    this.#register(name, {
      help,
      type: "gauge",
      render: async (metric) =>
        (await read()).map(({ labels, value }) => `${metric}${braces(labelText(labels ?? {}))} ${value}`),
    });
  }

  /** The text exposition format. A gauge that fails to read is left out; the rest is still told. */
  async render(): Promise<string> {
    const parts: string[] = [];
    for (const [name, { help, type, render }] of this.#registered) {
      const lines = await Promise.resolve()
        .then(() => render(name))
        .catch(() => undefined);
      if (lines) parts.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines);
    }
    return `${parts.join("\n")}\n`;
  }

  #register(name: string, registered: Registered): void {
    if (this.#registered.has(name)) throw new Error(`metric ${name} is registered twice`);
    this.#registered.set(name, registered);
  }
}

function histogramLines(name: string, labels: string, { bounds, counts, sum, count }: Histogram): string[] {
  let total = 0;
  const buckets = bounds.map((bound, i) => {
    total += counts[i] ?? 0;
    return `${name}_bucket${braces(join(labels, `le="${bound}"`))} ${total}`;
  });
  return [
    ...buckets,
    `${name}_bucket${braces(join(labels, 'le="+Inf"'))} ${count}`,
    `${name}_sum${braces(labels)} ${sum}`,
    `${name}_count${braces(labels)} ${count}`,
  ];
}

function labelText(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escapeLabel(value)}"`)
    .join(",");
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function join(labels: string, more: string): string {
  return labels === "" ? more : `${labels},${more}`;
}

function braces(labels: string): string {
  return labels === "" ? "" : `{${labels}}`;
}
