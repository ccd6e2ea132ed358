/** A certificate that is here, in the shapes in which it is needed. */
import { canonicalJson } from '../base/canonical.ts';
import type { CertificateWish } from '../compile/acme.ts';
import { type KeyPair, readKeyPair } from '../compile/certificate.ts';
import type { Origin, Secret } from '../resource/resource.ts';
import { SecretData } from '../resource/secret-data.ts';
import type { KeptCertificate } from './records.ts';

export interface Holding {
  readonly kept: KeptCertificate;
  readonly pair: KeyPair;
}

/** What a certificate is ordered as. When that changes, what is held is not what is wanted. */
export function termsOf({ hostnames, issuer }: CertificateWish): string {
  return canonicalJson({ hostnames, directory: issuer.directory, keyType: issuer.keyType });
}

/** @returns undefined when it cannot be read, or its key does not belong to it */
export function holdingOf(kept: KeptCertificate): Holding | undefined {
  const pair = readKeyPair(kept.chainPem, kept.privateKeyPem);
  return 'flaw' in pair ? undefined : { kept, pair };
}

/** The Secret that a manifest with this certificate would be. */
export function secretOf({ kept: { name, chainPem, privateKeyPem } }: Holding, origin: Origin): Secret {
  const [, namespace, secretName] = name.split('/') as [string, string, string];
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: secretName, namespace, labels: {}, annotations: {}, generation: 1, creationMs: undefined },
    origin,
    type: 'kubernetes.io/tls',
    data: new SecretData(
      new Map([
        ['tls.crt', chainPem],
        ['tls.key', privateKeyPem],
      ]),
    ),
  };
}
