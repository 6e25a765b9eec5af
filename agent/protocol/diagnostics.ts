import { type Static, Type } from "typebox";

/** What a running guest has used since its process began. Null is not measured here. */

const Count = Type.Integer({ minimum: 0 });
const Measured = Type.Union([Count, Type.Null()]);

/** As the guest sees it: `rx` is what it received. */
const CardTraffic = Type.Object({
  portId: Type.String(),
  mac: Type.String(),
  rxBytes: Measured,
  rxPackets: Measured,
  rxErrors: Measured,
  rxDrop: Measured,
  txBytes: Measured,
  txPackets: Measured,
  txErrors: Measured,
  txDrop: Measured,
});
export type CardTraffic = Static<typeof CardTraffic>;

const DiskTraffic = Type.Object({
  readBytes: Count,
  readRequests: Count,
  writeBytes: Count,
  writeRequests: Count,
  errors: Count,
});
export type DiskTraffic = Static<typeof DiskTraffic>;

export const GuestDiagnostics = Type.Object({
  uptimeS: Count,
  cpus: Type.Array(Type.Object({ id: Count, timeNs: Count })),
  /** In the order of the guest's spec. */
  nics: Type.Array(CardTraffic),
  /** `vda` first. */
  disks: Type.Array(DiskTraffic),
  /** `usedMiB` is what the guest's process takes of the host's memory. */
  memory: Type.Object({ maximumMiB: Count, usedMiB: Measured }),
});
export type GuestDiagnostics = Static<typeof GuestDiagnostics>;
