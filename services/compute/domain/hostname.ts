/** The guest's host name for a server's name: what a name server would take, `Server-<id>` when nothing of it is left. */
export function hostnameOf(name: string, id: string): string {
  const cleaned = name
    .toLowerCase()
    .replace(/[ _]/g, "-")
    .replace(/[^a-z0-9.-]+/g, "")
    .replace(/^[.-]+/, "")
    .slice(0, 63)
    .replace(/[.-]+$/, "");
  return cleaned === "" ? `server-${id}` : cleaned;
}
