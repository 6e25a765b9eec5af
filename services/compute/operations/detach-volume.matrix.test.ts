import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type Slate, serverMatrix } from "./testing/matrix.ts";

const BUSY = new CloudError("unavailable", "compute.volume_busy", "The guest keeps its disk.");

for (const kind of ["of a guest that runs", "of a guest that is off", "that its guest does not give up"] as const) {
  const stopped = kind === "of a guest that is off";
  const busy = kind === "that its guest does not give up";
  const rest: Slate = { host: "a", vm: stopped ? "stopped" : "active" };
  let volumeId = "";
  serverMatrix({
    name: kind,
    operation: (operations) => operations.detachVolume,
    server: async (world) => {
      volumeId = await world.given.volume();
      return await world.given.server({ stopped, devices: { existing: [volumeId] } });
    },
    start: async (world, id) => {
      // Twice it says no, then it lets go: the detach tries again.
      const fault = { type: "fail", error: BUSY } as const;
      if (busy) world.sim.faults.add({ verb: "compute.ensureVolumes", times: 2, fault });
      return await world.given.detach(id);
    },
    done: rest,
    undone: () => ({ ...rest, volumes: [volumeId] }),
  });
}
