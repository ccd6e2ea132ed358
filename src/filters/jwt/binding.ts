/** What a token is bound to (RFC 7800): whoever has it must also have that. */
import type { Claims } from '../../filter/claims.ts';
import type { Refusal } from './issuer-rule.ts';

export interface Binding {
  /** Thumbprint of a key (RFC 9449 section 6.1). */
  readonly proofKey: string | undefined;
  /** SHA-256 of a client certificate, lower-case hex (RFC 8705 section 3.1). */
  readonly certificate: string | undefined;
}

/** A binding that cannot be checked is not overlooked: its token is refused. */
export function bindingOf(claims: Claims): Binding | Refusal {
  const { cnf } = claims;
  if (cnf === undefined) return { proofKey: undefined, certificate: undefined };
  if (typeof cnf !== 'object' || cnf === null || Array.isArray(cnf)) return unknown;
  const { jkt, 'x5t#S256': x5t, ...others } = cnf as Claims;
  if (Object.keys(others).length > 0 || (jkt === undefined && x5t === undefined)) return unknown;
  if ((jkt !== undefined && !isHash(jkt)) || (x5t !== undefined && !isHash(x5t))) return unknown;
  return {
    proofKey: jkt as string | undefined,
    certificate: x5t === undefined ? undefined : Buffer.from(x5t as string, 'base64url').toString('hex'),
  };
}

const unknown: Refusal = { code: 'jwt.binding', why: 'It is bound by cnf in a way that cannot be checked' };

/** SHA-256 in base64url. */
function isHash(value: unknown): boolean {
  return typeof value === 'string' && /^[A-Za-z0-9_-]{43}$/.test(value);
}
