import { StorageCloud } from "../tests/chaos/support/storage-cloud.ts";
import { median } from "./support/load.ts";
import { publish } from "./support/section.ts";
import { createVolume, LOOK_MS } from "./support/storage-volumes.ts";

/**
 * How long a volume takes to be there, step by step: `npm run bench -- volumes`. Server and agents are processes of their own.
 */
const VOLUMES = 40;

interface Step {
  readonly step: string;
  readonly started_at: string | null;
  readonly finished_at: string | null;
}

const cloud = await StorageCloud.start({ replicated: true });
try {
  await creates();
} finally {
  await cloud.dispose();
}

/** The journal's times are whole milliseconds: what lies between a step's end and the next one's start is on its own line. */
async function creates(): Promise<void> {
  const totals: number[] = [];
  const parts = new Map<string, number[]>();
  const add = (part: string, ms: number) => parts.set(part, [...(parts.get(part) ?? []), ms]);
  await createVolume(cloud, "plain");
  for (let i = 0; i < VOLUMES; i += 1) {
    const { id, ms } = await createVolume(cloud, "plain");
    totals.push(ms);
    const { operations } = await cloud.get<{ operations: { id: string; created_at: string; finished_at: string }[] }>(
      `/v1/operations?resource_id=${id}`,
    );
    const [operation] = operations;
    if (!operation) throw new Error(`no operation of ${id}`);
    const { steps } = (await cloud.get<{ operation: { steps: Step[] } }>(`/v1/operations/${operation.id}`)).operation;
    let last = Date.parse(operation.created_at);
    let inSteps = 0;
    for (const { step: name, started_at, finished_at } of steps) {
      const [from, to] = [Date.parse(started_at ?? ""), Date.parse(finished_at ?? "")];
      add(`before \`${name}\``, from - last);
      add(`step \`${name}\``, to - from);
      inSteps += to - last;
      last = to;
    }
    add("request, and until a look shows it", ms - inSteps);
  }
  const rows = [...parts].map(([part, values]) => [part, `${median(values).toFixed(1)} ms`]);
  await publish({
    name: "volumes",
    title: "Volumes: from the request to available",
    how: `${VOLUMES} empty volumes of 1 GiB, one after the other, on one backend of files; looked at every ${LOOK_MS} ms. Times of the steps are the operation's journal. Medians.`,
    head: ["part", "takes"],
    rows: [...rows, ["**all**", `**${median(totals).toFixed(1)} ms**`]],
  });
}
