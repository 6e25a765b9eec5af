import type { KernelServices } from "../../kernel/service/manifest.ts";
import { nextNumber } from "../../kernel/store/counters.ts";
import type { ComputeTables } from "./store/tables.ts";

const SIZES = [
  { name: "m1.tiny", vcpus: 1, ramMiB: 128, diskGiB: 1 },
  { name: "m1.small", vcpus: 1, ramMiB: 192, diskGiB: 1 },
  { name: "m1.medium", vcpus: 2, ramMiB: 256, diskGiB: 2 },
] as const;

/** Extra spec that puts the root disk into the store that hosts share. */
export const STORAGE_SPEC = "pileus:storage";

/** The flavors of a new cloud, each with its disk on the host and (`.shared`) in the hosts' shared store. Kept when there are any. */
export async function seedFlavors(kernel: Pick<KernelServices, "store" | "clock">): Promise<void> {
  await kernel.store.tx(async (t) => {
    const db = t.tables<ComputeTables>();
    const existing = await db.selectFrom("flavors").select("id").limit(1).executeTakeFirst();
    if (existing) return;
    for (const shared of [false, true]) {
      for (const size of SIZES) {
        const number = await nextNumber(t, "compute.flavor");
        await db
          .insertInto("flavors")
          .values({
            number,
            id: String(number),
            name: shared ? `${size.name}.shared` : size.name,
            vcpus: size.vcpus,
            ram_mib: size.ramMiB,
            disk_gib: size.diskGiB,
            ephemeral_gib: 0,
            swap_mib: 0,
            is_public: 1,
            disabled: 0,
            rxtx_factor: 1,
            description: null,
            extra_specs: JSON.stringify(shared ? { [STORAGE_SPEC]: "shared" } : {}),
            created_at: kernel.clock.now(),
          })
          .execute();
      }
    }
  });
}
