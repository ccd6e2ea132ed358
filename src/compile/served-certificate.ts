/** Every certificate of the plan, as an operator asks for it: where it is served, whose it is, and where it came from. */
import { describe, keyOf } from '../resource/resource.ts';
import { type Validity, validityOf } from './certificate-check.ts';
import { placeOf } from './finding.ts';
import type { Found } from './found.ts';
import { gatewayOf } from './gateways.ts';
import type { ListenerBase } from './listener.ts';
import { listenerPort } from './ports.ts';

export interface ServedCertificate {
  /** Key of its Secret. */
  readonly secret: string;
  /** `Gateway shop/edge`. */
  readonly owner: string;
  readonly listener: string;
  readonly hostname: string;
  /** Keys of the ports in the plan. */
  readonly ports: readonly string[];
  /** `AcmeIssuer shop/authority`; undefined for one that the operator brought. */
  readonly issuer: string | undefined;
  /** Where the Secret is written; undefined for one that was ordered. */
  readonly at: { readonly file: string; readonly line: number } | undefined;
  /** PEM chain, leaf first; undefined while it is awaited. */
  readonly certificatePem: string | undefined;
  readonly notBeforeMs: number | undefined;
  readonly notAfterMs: number | undefined;
  readonly state: CertificateState;
}

export type CertificateState = Validity | 'awaited';

export function servedCertificates({ gateways: { gateways, sets, ports } }: Found, nowMs: number): ServedCertificate[] {
  return [...gateways, ...sets].flatMap((base) => {
    const { addresses } = gatewayOf(base);
    return base.listeners.flatMap((listener) =>
      ports.verdicts.get(listener)?.served === true ? certificatesOf(listener, { addresses, nowMs }) : [],
    );
  });
}

function certificatesOf(
  listener: ListenerBase,
  { addresses, nowMs }: { readonly addresses: readonly string[]; readonly nowMs: number },
): ServedCertificate[] {
  const { owner, spec, hostname, certificates, acme } = listener;
  const where = {
    owner: describe(owner),
    listener: spec.name,
    hostname,
    ports: addresses.map((address) => listenerPort(spec, address)),
  };
  const served = certificates.map(({ secret, pair }): ServedCertificate => {
    const key = keyOf(secret);
    const ordered = acme?.secret === key;
    const at = ordered ? undefined : placeOf(secret, '');
    const { certificatePem, notBeforeMs, notAfterMs } = pair;
    const issuer = ordered ? describe(acme.issuer) : undefined;
    return {
      secret: key,
      ...where,
      issuer,
      at,
      certificatePem,
      notBeforeMs,
      notAfterMs,
      state: validityOf(pair, nowMs),
    };
  });
  if (acme === undefined || served.some(({ secret }) => secret === acme.secret)) return served;
  const awaited = { certificatePem: undefined, notBeforeMs: undefined, notAfterMs: undefined, at: undefined };
  return [...served, { secret: acme.secret, ...where, issuer: describe(acme.issuer), ...awaited, state: 'awaited' }];
}
