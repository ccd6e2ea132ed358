/**
 * Tokens whose signature was verified, by the whole token: what differs in one
 * character is another token. Those that nobody uses go first, and what expired,
 * or was verified by a key that its issuer took back, is gone when it is asked
 * for.
 */
import type { Identity } from '../../filter/identity.ts';
import type { VerifyKey } from './verify-key.ts';

/** What is known of a token once it is verified. */
export interface VerifiedToken {
  readonly identity: Identity;
  readonly key: VerifyKey;
  /** Epoch time from which on it is to be looked at again: it expired, or was remembered for long enough. */
  readonly untilMs: number;
  /** Thumbprint of the key whose proof it needs (RFC 9449 section 6.1). */
  readonly proofKey: string | undefined;
  /** SHA-256 of the client certificate it needs, lower-case hex (RFC 8705 section 3.1). */
  readonly certificate: string | undefined;
  readonly hasScopes: boolean;
  /** Headers for upstreams. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

export interface TokenBounds {
  readonly entriesMax: number;
  readonly bytesMax: number;
}

interface Slot {
  readonly verified: VerifiedToken;
  /** Since it was last passed over: it is passed over once more (CLOCK), which costs a hit nothing but this. */
  used: boolean;
}

export class VerifiedTokens {
  readonly #slots = new Map<string, Slot>();
  readonly #bounds: TokenBounds;
  #bytes = 0;

  constructor(bounds: TokenBounds) {
    this.#bounds = bounds;
  }

  get size(): number {
    return this.#slots.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(token: string, wallMs: number): VerifiedToken | undefined {
    const slot = this.#slots.get(token);
    if (slot === undefined) return undefined;
    if (wallMs < slot.verified.untilMs && slot.verified.key.live) {
      slot.used = true;
      return slot.verified;
    }
    this.#drop(token);
    return undefined;
  }

  set(token: string, verified: VerifiedToken): void {
    const { entriesMax, bytesMax } = this.#bounds;
    this.#drop(token);
    if (entriesMax === 0 || token.length > bytesMax) return;
    // A copy: as it came it is a piece of the whole head, which it would keep.
    const own = Buffer.from(token, 'latin1').toString('latin1');
    while (this.#slots.size >= entriesMax || this.#bytes + own.length > bytesMax) this.#evict();
    this.#slots.set(own, { verified, used: false });
    this.#bytes += own.length;
  }

  #evict(): void {
    for (const [token, slot] of this.#slots) {
      if (!slot.used) return this.#drop(token);
      slot.used = false;
      this.#slots.delete(token);
      this.#slots.set(token, slot);
    }
  }

  #drop(token: string): void {
    if (this.#slots.delete(token)) this.#bytes -= token.length;
  }
}
