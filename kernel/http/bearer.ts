/** The credential of `Authorization: Bearer …`. */
export function bearer(header: string | undefined): string | undefined {
  const match = /^bearer\s+(\S+)$/i.exec(header ?? "");
  return match?.[1];
}
