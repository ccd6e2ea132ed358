/** AcmeIssuers with everything that they refer to. */
import { nearest } from '../base/problem.ts';
import { durationOr } from '../base/duration.ts';
import { type AcmeIssuer, describe, keyOf } from '../resource/resource.ts';
import type { Finding } from './finding.ts';
import type { Reason } from './listener.ts';
import { brokenAt, type Broken, missing, resolveCa, toReference } from './reference.ts';
import { type Look, lookUp } from './tables.ts';

export type ChallengeType = AcmeIssuer['spec']['challenges'][number];

/** What whoever orders has to know. Plain values. */
export interface IssuerTerms {
  /** `AcmeIssuer/shop/authority`. */
  readonly key: string;
  readonly directory: string;
  readonly email: string | undefined;
  readonly termsAgreed: boolean;
  readonly challenges: readonly ChallengeType[];
  readonly externalAccount: ExternalAccount | undefined;
  /** PEM bundles for the ACME server itself; empty means the roots of the system. */
  readonly cas: readonly string[];
  readonly keyType: AcmeIssuer['spec']['keyType'];
  /** Undefined: when the authority suggests it, else at two thirds of the life. */
  readonly renewBeforeMs: number | undefined;
}

export interface ExternalAccount {
  readonly keyId: string;
  /** Base64url, as the authority gave it. Secret. */
  readonly macKey: string;
}

/** An issuer with its terms, or why it cannot be used. */
export type IssuerView = { readonly issuer: AcmeIssuer; readonly findings: readonly Finding[] } & (
  | { readonly terms: IssuerTerms; readonly unresolved: undefined }
  | { readonly terms: undefined; readonly unresolved: Reason }
);

export function readIssuer(issuer: AcmeIssuer, look: Look): IssuerView {
  const { caCertificateRefs, renewBefore, challenges, directory, email, termsAgreed, keyType } = issuer.spec;
  const findings: Finding[] = [];
  const unresolved: Broken[] = [];
  const say = (field: string, broken: Broken): void => {
    unresolved.push(broken);
    findings.push(brokenAt(issuer, field, broken));
  };
  const cas: string[] = [];
  for (const [i, ref] of caCertificateRefs.entries()) {
    const found = resolveCa(issuer, toReference(ref, issuer), {
      look,
      reasons: { invalid: 'InvalidCACertificateRef' },
    });
    if (found.broken === undefined) cas.push(found.ok);
    else say(`/spec/caCertificateRefs/${i}`, found.broken);
  }
  const account = externalAccountOf(issuer, look);
  if (account !== undefined && 'reason' in account) say('/spec/externalAccount/secretRef', account);
  const terms: IssuerTerms = {
    key: keyOf(issuer),
    directory,
    email,
    termsAgreed,
    challenges,
    externalAccount: account === undefined || 'reason' in account ? undefined : account,
    cas,
    keyType,
    renewBeforeMs: durationOr(renewBefore, undefined),
  };
  // Ordering with half of what was said would be ordering from somebody else.
  const [first] = unresolved;
  const outcome = first === undefined ? { terms, unresolved: undefined } : { terms: undefined, unresolved: first };
  return { issuer, findings, ...outcome };
}

const MAC_KEY = 'key';

function externalAccountOf(issuer: AcmeIssuer, look: Look): ExternalAccount | Broken | undefined {
  const { externalAccount } = issuer.spec;
  if (externalAccount === undefined) return undefined;
  const { keyId, secretRef } = externalAccount;
  const to = toReference({ group: '', kind: 'Secret', name: secretRef.name }, issuer);
  const secret = lookUp(look, 'Secret', to);
  if (secret === undefined) return missing(to, 'InvalidSecretRef');
  const macKey = secret.data.get(MAC_KEY)?.trim();
  if (macKey !== undefined && /^[-A-Za-z0-9_+/]{16,}=*$/.test(macKey)) return { keyId, macKey };
  const near = macKey === undefined ? nearest(MAC_KEY, secret.data.keys()) : undefined;
  const has = macKey === undefined ? 'is not in its data' : 'is not a MAC key in base64url';
  const hint = near === undefined ? '' : `: did you mean "${near}"`;
  return {
    reason: 'InvalidSecretRef',
    code: 'certificate.invalid',
    message: `${describe(secret)}: "${MAC_KEY}" ${has}${hint}`,
    related: [keyOf(secret)],
  };
}
