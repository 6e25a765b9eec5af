import { CloudError } from "../../../../kernel/errors/cloud-error.ts";

/** Where a disk is served: over TCP between hosts, or over a unix socket on one machine. */
export type DiskAddress = { kind: "inet"; host: string; port: number } | { kind: "unix"; path: string };

/** The common form of NBD addresses, understood by all of QEMU's tools. */
export function diskUri(address: DiskAddress, exportName: string): string {
  if (address.kind === "inet") return `nbd://${address.host}:${address.port}/${exportName}`;
  return `nbd+unix:///${exportName}?socket=${encodeURIComponent(address.path)}`;
}

/** Throws `compute.invalid_uri` for anything that `diskUri` did not make. */
export function parseDiskUri(uri: string): { address: DiskAddress; exportName: string } {
  const url = URL.parse(uri);
  const exportName = url?.pathname.slice(1) ?? "";
  if (url && /^[a-z0-9-]{1,64}$/.test(exportName)) {
    const path = url.searchParams.get("socket");
    if (url.protocol === "nbd:" && url.port !== "") {
      return { address: { kind: "inet", host: url.hostname, port: Number(url.port) }, exportName };
    }
    if (url.protocol === "nbd+unix:" && path?.startsWith("/")) return { address: { kind: "unix", path }, exportName };
  }
  throw new CloudError("invalid", "compute.invalid_uri", "Not the address of a disk.");
}

/** The address as QMP commands take it. */
export function socketAddress(address: DiskAddress): Record<string, unknown> {
  if (address.kind === "unix") return { type: "unix", path: address.path };
  return { type: "inet", host: address.host, port: String(address.port) };
}
