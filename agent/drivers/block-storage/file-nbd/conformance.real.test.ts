import { test } from "node:test";
import { abilityCases } from "../../../conformance/block-storage-ability-cases.ts";
import { coreCases } from "../../../conformance/block-storage-core-cases.ts";
import { blockStorageDriverConformance } from "../../../conformance/block-storage-driver-conformance.ts";
import { storageLab, whyNoStorage } from "./testing/storage-lab.ts";

const skip = await whyNoStorage();
if (skip !== null) test("file-nbd: conformance", { skip }, () => {});
else blockStorageDriverConformance({ name: "file-nbd", cases: [...coreCases, ...abilityCases], make: storageLab });
