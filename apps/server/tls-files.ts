import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { CloudError } from "../../kernel/errors/cloud-error.ts";

/** The contents of both PEM files. Throws `server.no_tls_file`. */
export async function readTls(files: { key: string; cert: string }): Promise<{ key: string; cert: string }> {
  return { key: await readPem("--tls-key", files.key), cert: await readPem("--tls-cert", files.cert) };
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * Absolute path of the chain when it ends in an authority of its own, which clients must be told of; null when it ends in
 * one that they are expected to know.
 */
export async function ownAuthority(certFile: string): Promise<string | null> {
  const last = (await readPem("--tls-cert", certFile)).match(CERTIFICATE)?.at(-1);
  if (last === undefined) return null;
  const { subject, issuer } = new X509Certificate(last);
  return subject === issuer ? resolve(certFile) : null;
}

async function readPem(flag: string, path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new CloudError("invalid", "server.no_tls_file", `${flag} ${path} cannot be read.`, { cause });
  }
}
