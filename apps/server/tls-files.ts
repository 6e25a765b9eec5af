import { readFile } from "node:fs/promises";
import { CloudError } from "../../kernel/errors/cloud-error.ts";

/** The contents of both PEM files. Throws `server.no_tls_file`. */
export async function readTls(files: { key: string; cert: string }): Promise<{ key: string; cert: string }> {
  return { key: await readPem("--tls-key", files.key), cert: await readPem("--tls-cert", files.cert) };
}

async function readPem(flag: string, path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new CloudError("invalid", "server.no_tls_file", `${flag} ${path} cannot be read.`, { cause });
  }
}
