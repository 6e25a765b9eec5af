import { test } from "node:test";
import { abilityCases } from "../../../conformance/block-storage-ability-cases.ts";
import { awayCases } from "../../../conformance/block-storage-away-cases.ts";
import { coreCases } from "../../../conformance/block-storage-core-cases.ts";
import { blockStorageDriverConformance } from "../../../conformance/block-storage-driver-conformance.ts";
import { storageLab, whyNoStorage } from "./testing/storage-lab.ts";

const skip = await whyNoStorage();
if (skip !== null) test("file-nbd: conformance", { skip }, () => {});
else {
  const cases = [...coreCases, ...abilityCases, ...awayCases];
  blockStorageDriverConformance({ name: "file-nbd", cases, make: storageLab });
}
