import { createHash, generateKeyPair, randomBytes, X509Certificate } from "node:crypto";
import { promisify } from "node:util";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";

export interface GeneratedKey {
  /** One line, as in `authorized_keys`. */
  readonly publicKey: string;
  /** In OpenSSH's format; the caller hands it out once and never stores it. */
  readonly privateKey: string;
}

const RSA_BITS = 2048;
const COMMENT = "Generated-by-Nova";
/** The private part is padded to whole blocks of this many bytes. */
const BLOCK = 8;

/** A new RSA key: the kind that every SSH client and library reads. */
export async function generateSshKey(): Promise<GeneratedKey> {
  const pair = await promisify(generateKeyPair)("rsa", { modulusLength: RSA_BITS });
  const key = pair.privateKey.export({ format: "jwk" });
  const number = (part: string | undefined) => field(positive(Buffer.from(part ?? "", "base64url")));
  const type = field(Buffer.from("ssh-rsa"));
  const publicBlob = Buffer.concat([type, number(key.e), number(key.n)]);
  const privateParts = [type, ...[key.n, key.e, key.d, key.qi, key.p, key.q].map(number), field(Buffer.from(COMMENT))];
  return {
    publicKey: `ssh-rsa ${publicBlob.toString("base64")} ${COMMENT}\n`,
    privateKey: opensshPem(publicBlob, Buffer.concat(privateParts)),
  };
}

/** An unencrypted `openssh-key-v1` file of one key. */
function opensshPem(publicBlob: Buffer, privateParts: Buffer): string {
  const none = field(Buffer.from("none"));
  // Readers compare the two check numbers to notice a wrong password; without one any number will do.
  const check = randomBytes(4);
  const body = Buffer.concat([check, check, privateParts]);
  const padding = Buffer.from(Array.from({ length: (BLOCK - (body.length % BLOCK)) % BLOCK }, (_, i) => i + 1));
  const file = Buffer.concat([
    Buffer.from("openssh-key-v1\0"),
    none,
    none,
    field(Buffer.alloc(0)),
    uint32(1),
    field(publicBlob),
    field(Buffer.concat([body, padding])),
  ]);
  const lines = file.toString("base64").match(/.{1,70}/g) ?? [];
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines.join("\n")}\n-----END OPENSSH PRIVATE KEY-----\n`;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function field(bytes: Buffer): Buffer {
  return Buffer.concat([uint32(bytes.length), bytes]);
}

/** A number of SSH is signed: one whose first bit is set gets a zero before it. */
function positive(bytes: Buffer): Buffer {
  return (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes;
}

const TYPES =
  /^(ssh-(rsa|dss|ed25519|ed448)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)$/;

/** MD5 of a public key in the form that OpenStack shows. Throws `compute.invalid_keypair`. */
export function sshFingerprint(publicKey: string): string {
  const line = publicKey.trim();
  // A second line would become a second key, or an option, of whoever may log in.
  if (/[\r\n]/.test(line)) throw invalid();
  const [type = "", data = ""] = line.split(/\s+/);
  const blob = Buffer.from(data, "base64");
  if (!TYPES.test(type) || blob.length < 5 || blob.toString("base64") !== padded(data)) throw invalid();
  const inner = blob.subarray(4, 4 + blob.readUInt32BE(0)).toString("latin1");
  if (inner !== type) throw invalid();
  return colons(createHash("md5").update(blob).digest("hex"));
}

/** SHA-1 of a certificate. Throws `compute.invalid_keypair`. */
export function certificateFingerprint(pem: string): string {
  try {
    return colons(createHash("sha1").update(new X509Certificate(pem).raw).digest("hex"));
  } catch (cause) {
    throw new CloudError("invalid", "compute.invalid_keypair", "Keypair data is invalid: not a certificate.", {
      cause,
    });
  }
}

function padded(base64: string): string {
  return base64.padEnd(Math.ceil(base64.length / 4) * 4, "=");
}

function colons(hex: string): string {
  return hex.match(/../g)?.join(":") ?? "";
}

function invalid(): CloudError {
  return new CloudError(
    "invalid",
    "compute.invalid_keypair",
    "Keypair data is invalid: failed to generate fingerprint",
  );
}
