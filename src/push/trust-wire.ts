/** A trust bundle as bytes, on a stream and in the answer to who joins. */
import type { Fault } from '../base/fault.ts';
import type { Read, Written } from './codec.ts';
import { pushFault } from './faults.ts';
import { TRUST_CHARS_MAX, type TrustBundle } from './messages.ts';
import type { TRUST } from './shapes.ts';

export function writtenTrust({ hash, trustDomain, roots, federated, issuer }: TrustBundle): Written<typeof TRUST> {
  return {
    hash,
    trust_domain: trustDomain,
    roots,
    federated: federated.map((other) => ({ trust_domain: other.trustDomain, anchors: other.anchors })),
    issuer,
  };
}

export function trustIn({ hash, trust_domain, roots, federated, issuer }: Read<typeof TRUST>): TrustBundle | Fault {
  const pems = [...roots, ...federated.flatMap(({ anchors }) => anchors)];
  if (pems.reduce((sum, { length }) => sum + length, 0) > TRUST_CHARS_MAX) {
    return pushFault('push.too-large', 'A trust bundle is too large');
  }
  return {
    hash,
    trustDomain: trust_domain,
    roots,
    federated: federated.map((other) => ({ trustDomain: other.trust_domain, anchors: other.anchors })),
    issuer,
  };
}
