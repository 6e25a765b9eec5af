import { badImage } from "./faults.ts";

/** One change of an image, of the subset of JSON Patch that Glance speaks. */
export interface PatchOperation {
  readonly op: "add" | "replace" | "remove";
  readonly path: string;
  readonly value?: unknown;
}

/** Applies changes to a document of one level; arrays are changed as a whole. Throws `image.invalid`, and `conflict` for what is not there. */
export function applyPatch(
  document: Readonly<Record<string, unknown>>,
  operations: readonly PatchOperation[],
  missing: (name: string) => Error,
): Record<string, unknown> {
  const result = new Map(Object.entries(document));
  for (const operation of operations) {
    const name = nameOf(operation.path);
    if (operation.op !== "add" && !result.has(name)) throw missing(name);
    if (operation.op === "remove") result.delete(name);
    else if (operation.value === undefined)
      throw badImage(`Operation "${operation.op}" requires a member named "value".`);
    else result.set(name, operation.value);
  }
  return Object.fromEntries(result);
}

/** The attribute that a JSON pointer names. */
export function nameOf(path: string): string {
  const name = path.replace(/^\//, "").replaceAll("~1", "/").replaceAll("~0", "~");
  if (path.startsWith("/") && name !== "" && !path.slice(1).includes("/")) return name;
  throw badImage(`Pointer \`${path}\` does not name an attribute.`);
}
