import { RememberedAnswers } from "../../kernel/http/remembered-answers.ts";
import type { KernelServices } from "../../kernel/service/manifest.ts";
import type { Tx } from "../../kernel/store/store.ts";
import { conflict, isDuplicate } from "./errors.ts";
import type { AuthRequest } from "./login/auth-request.ts";
import { type IssuedToken, logIn } from "./login/login.ts";
import { type Revocation, Revocations } from "./tokens/revocations.ts";
import { SigningKeys } from "./tokens/signing-keys.ts";
import { ALLOW_EXPIRED_MS, TokenService } from "./tokens/token-service.ts";

/** What the routes of this service share. */
export class IdentityContext {
  readonly kernel: Pick<KernelServices, "store" | "clock" | "ids">;
  readonly keys: SigningKeys;
  readonly revocations: Revocations;
  readonly tokens: TokenService;
  readonly answers: RememberedAnswers;
  readonly #tokenLifeMs: number;
  readonly #passwordLifeMs: number | null;

  constructor(
    kernel: Pick<KernelServices, "store" | "clock" | "ids">,
    { tokenLifeMs, passwordLifeMs }: { tokenLifeMs: number; passwordLifeMs: number | null },
  ) {
    this.kernel = kernel;
    this.keys = new SigningKeys(kernel);
    this.revocations = new Revocations(kernel, tokenLifeMs + ALLOW_EXPIRED_MS);
    this.tokens = new TokenService(kernel, this.keys, this.revocations);
    this.answers = new RememberedAnswers(kernel);
    this.#tokenLifeMs = tokenLifeMs;
    this.#passwordLifeMs = passwordLifeMs;
  }

  logIn(request: AuthRequest): Promise<IssuedToken> {
    const { kernel, tokens, revocations } = this;
    return logIn({ kernel, tokens, revocations, tokenLifeMs: this.#tokenLifeMs }, request);
  }

  /** When a password that is set now expires, epoch milliseconds; null: never. */
  passwordExpiry(): number | null {
    return this.#passwordLifeMs === null ? null : this.kernel.clock.now() + this.#passwordLifeMs;
  }

  /** One transaction; a broken unique index is 409. */
  async change<T>(fn: (t: Tx) => Promise<T>): Promise<T> {
    try {
      return await this.kernel.store.tx(fn);
    } catch (error) {
      if (isDuplicate(error)) throw conflict("Conflict occurred attempting to store an entity: it exists already.");
      throw error;
    }
  }

  /** As `change`, for what makes tokens invalid: it holds in this process once this resolves, in others soon after. */
  async revoke<T>(fn: (t: Tx, revoked: Revocation[]) => Promise<T>): Promise<T> {
    const result = await this.change(async (t) => {
      const revoked: Revocation[] = [];
      const value = await fn(t, revoked);
      await this.revocations.add(t, revoked);
      return { value, any: revoked.length > 0 };
    });
    if (result.any) await this.revocations.refresh();
    return result.value;
  }
}
