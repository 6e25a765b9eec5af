import { readFileSync } from "node:fs";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { CloudError, type ErrorKind } from "../../../kernel/errors/cloud-error.ts";
import type { CloudAccess } from "./cloud-access.ts";
import { eventsIn } from "./event-lines.ts";

interface Exchange {
  readonly method: "GET" | "POST";
  /** Below the cloud's base: `/v1/hosts`. */
  readonly path: string;
  readonly body?: unknown;
  readonly token?: string;
  readonly signal?: AbortSignal;
}

/** A cloud's own API and Compute's, as one user. Logs in when it must, again when the token has run out. */
export class CloudClient {
  /** `http://127.0.0.1:5000` */
  readonly baseUrl: string;
  /** PEM file of the authority behind the cloud's certificate. */
  readonly caFile: string | null;
  readonly #access: CloudAccess;
  #token: Promise<string> | undefined;

  /** Throws `cli.not_pileus` when the identity API is not where Pileus has it. */
  constructor(access: CloudAccess) {
    const base = /^(.*)\/identity\/v3$/.exec(access.authUrl)?.[1];
    if (base === undefined) {
      const problem = `${access.authUrl} does not end in /identity, so it is no Pileus cloud (${access.source}).`;
      throw new CloudError("invalid", "cli.not_pileus", problem);
    }
    this.baseUrl = base;
    this.caFile = access.caFile;
    this.#access = access;
  }

  async get(path: string, query: Readonly<Record<string, string | null>> = {}): Promise<unknown> {
    return await readJson(await this.#authorized({ method: "GET", path: `${path}${queryText(query)}` }));
  }

  async post(path: string, body: unknown = {}): Promise<unknown> {
    return await readJson(await this.#authorized({ method: "POST", path, body }));
  }

  /** Resolves when the cloud listens: the data of each server-sent event until the stream ends, is aborted or breaks. */
  async events(path: string, signal: AbortSignal): Promise<AsyncGenerator<unknown>> {
    return untilBroken(await this.#authorized({ method: "GET", path, signal }));
  }

  async #authorized(exchange: Exchange): Promise<IncomingMessage> {
    const fresh = this.#token === undefined;
    this.#token ??= this.#login();
    const token = await this.#token;
    const response = await this.#send({ ...exchange, token });
    if (response.statusCode === 401 && !fresh) {
      response.resume();
      this.#token = undefined;
      return await this.#authorized(exchange);
    }
    if (isSuccess(response)) return response;
    throw await refusal(response);
  }

  async #login(): Promise<string> {
    const body = { auth: this.#access.login };
    const response = await this.#send({ method: "POST", path: "/identity/v3/auth/tokens", body });
    const token = response.headers["x-subject-token"];
    if (response.statusCode === 401) {
      response.resume();
      throw new CloudError("unauthenticated", "cli.login_refused", `The cloud refuses ${this.#access.source}.`);
    }
    if (!isSuccess(response)) throw await refusal(response);
    response.resume();
    return String(token);
  }

  #send({ method, path, body, token, signal }: Exchange): Promise<IncomingMessage> {
    const url = new URL(`${this.baseUrl}${path}`);
    const { caFile, verify } = this.#access;
    const tls = url.protocol === "https:";
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const options = {
      method,
      headers: {
        accept: "application/json",
        ...(token === undefined ? {} : { "x-auth-token": token }),
        ...(payload ? { "content-type": "application/json", "content-length": payload.length } : {}),
      },
      ...(signal === undefined ? {} : { signal }),
      ...(tls ? { rejectUnauthorized: verify } : {}),
      ...(tls && caFile !== null ? { ca: readAuthority(caFile) } : {}),
    };
    return new Promise((resolve, reject) => {
      const request = (tls ? httpsRequest : httpRequest)(url, options, resolve);
      request.on("error", (error) => reject(signal?.aborted ? signal.reason : unreachable(this.baseUrl, error)));
      request.end(payload);
    });
  }
}

async function* untilBroken(response: IncomingMessage): AsyncGenerator<unknown> {
  try {
    yield* eventsIn(response.setEncoding("utf8"));
  } catch (error) {
    // A stream that breaks is one that ends: whoever watches connects again.
    if (!(error instanceof Error && "code" in error)) throw error;
  } finally {
    response.destroy();
  }
}

const isSuccess = ({ statusCode = 0 }: IncomingMessage): boolean => statusCode >= 200 && statusCode < 300;

function queryText(query: Readonly<Record<string, string | null>>): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== null);
  return given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
}

function readAuthority(caFile: string): string {
  try {
    return readFileSync(caFile, "utf8");
  } catch (cause) {
    throw new CloudError("invalid", "cli.no_ca_file", `The authority file ${caFile} cannot be read.`, { cause });
  }
}

async function readJson(response: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  const text = Buffer.concat(parts).toString("utf8");
  return text === "" ? {} : JSON.parse(text);
}

const KINDS: Readonly<Record<number, ErrorKind>> = {
  400: "invalid",
  401: "unauthenticated",
  403: "forbidden",
  404: "notFound",
  409: "conflict",
};

/** What the cloud said, whichever of OpenStack's body shapes it said it in. */
async function refusal(response: IncomingMessage): Promise<CloudError> {
  const status = response.statusCode ?? 0;
  const body = await readJson(response).catch(() => ({}));
  const inner = Object.values(body as Record<string, unknown>)[0];
  const message =
    typeof inner === "object" && inner !== null && "message" in inner && typeof inner.message === "string"
      ? inner.message
      : `The cloud answered ${status}.`;
  const hint = status === 403 ? " An administrator may: try another --cloud." : "";
  return new CloudError(KINDS[status] ?? "unavailable", "cli.refused", `${message}${hint}`);
}

function unreachable(baseUrl: string, cause: Error): CloudError {
  const code = "code" in cause ? String(cause.code) : "";
  const advice = /CERT|SIGNATURE|SSL|TLS/.test(code)
    ? "Its certificate is not trusted: name its authority with 'cacert' in clouds.yaml or OS_CACERT."
    : "Does it run? 'pileus up' or 'pileus server' starts it.";
  return new CloudError(
    "unavailable",
    "cli.unreachable",
    `${baseUrl} cannot be reached (${code || cause.name}). ${advice}`,
    {
      cause,
    },
  );
}
