import { computeDriverConformance } from "../../../conformance/compute-driver-conformance.ts";
import { volumeDataCases } from "../../../conformance/compute-volume-data-cases.ts";
import { conformanceLab } from "./testing/lab-conformance.ts";

computeDriverConformance({ name: "qemu", cases: volumeDataCases, ...(await conformanceLab()) });
