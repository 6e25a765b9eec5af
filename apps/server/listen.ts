import { CloudError } from "../../kernel/errors/cloud-error.ts";
import type { HttpServer } from "../../kernel/http/server.ts";

/** Resolves to the address in use. Throws `server.cannot_listen`, saying what to do about it. */
export async function listen(http: HttpServer, { host, port }: { host: string; port: number }): Promise<string> {
  try {
    return await http.listen({ host, port });
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    const where = `${host.includes(":") ? `[${host}]` : host}:${port}`;
    throw new CloudError("conflict", "server.cannot_listen", `Cannot listen on ${where}: ${reasonOf(code)}`, { cause });
  }
}

function reasonOf(code: string): string {
  switch (code) {
    case "EADDRINUSE":
      return "another program uses that address. Choose another with --listen HOST:PORT (port 0 takes a free one).";
    case "EACCES":
      return "this user may not. Choose a port above 1023 with --listen HOST:PORT.";
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return "that is no address of this machine. Choose another with --listen HOST:PORT.";
    default:
      return `the system refuses (${code || "unknown reason"}).`;
  }
}
