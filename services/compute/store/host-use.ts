import type { Queries } from "../../../kernel/store/store.ts";
import { flavorOf } from "./servers.ts";
import type { ComputeTables } from "./tables.ts";

/** What the flavors of one project's servers on a host add up to. */
export interface ProjectUse {
  readonly project: string;
  readonly vcpus: number;
  readonly ramMiB: number;
  /** Root and ephemeral disks. */
  readonly diskGiB: number;
}

/** By the age of their oldest server there. */
export async function useByProject(q: Queries, host: string): Promise<ProjectUse[]> {
  const rows = await q
    .tables<ComputeTables>()
    .selectFrom("servers")
    .select(["project_id", "flavor"])
    .where("host", "=", host)
    .where("deleted_at", "is", null)
    .orderBy("number")
    .execute();
  const uses = new Map<string, ProjectUse>();
  for (const row of rows) {
    const { vcpus, ramMiB, diskGiB, ephemeralGiB } = flavorOf(row);
    const project = row.project_id;
    const sum = uses.get(project) ?? { project, vcpus: 0, ramMiB: 0, diskGiB: 0 };
    uses.set(project, {
      project,
      vcpus: sum.vcpus + vcpus,
      ramMiB: sum.ramMiB + ramMiB,
      diskGiB: sum.diskGiB + diskGiB + ephemeralGiB,
    });
  }
  return [...uses.values()];
}
