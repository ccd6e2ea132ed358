import { Fault } from '../../base/fault.ts';
import { consumerOf } from '../../filter/consumer.ts';
import type { Env } from '../../filter/env.ts';
import type { Exchange, Filter, FilterCode } from '../../filter/filter.ts';
import { type Consumer, type Identity, identityOf } from '../../filter/identity.ts';
import { certificateTest } from './allowed.ts';
import { type CertificateFacts, type ClientCertificate, factsOf } from './certificate-facts.ts';
import { MTLS_FAULTS, type MtlsConfig } from './config.ts';
import { workloadOf } from '../../http/client-identity.ts';
import { Revocation } from './revocation.ts';

/** What was found out about a certificate. */
interface Finding {
  readonly found: Identity | Fault;
  /** Epoch time from which on it is to be found out anew. */
  readonly untilMs: number;
  /** Of the revocation lists. */
  readonly version: readonly unknown[];
}

const NO_LISTS: readonly unknown[] = [];

/**
 * Who a client is by the certificate of its connection, which the listener has
 * verified. Found out once per connection; a request costs a look-up.
 *
 * @see RFC 5280, RFC 9525, https://spiffe.io/docs/latest/spiffe-specs/x509-svid/
 */
export const code: FilterCode<typeof MtlsConfig> = {
  make: (config, env) => new MtlsFilter(config, env),
};

class MtlsFilter implements Filter {
  readonly #env: Env;
  readonly #allowed: readonly {
    readonly test: ReturnType<typeof certificateTest>;
    readonly consumer: Consumer | undefined;
  }[];
  readonly #consumer: MtlsConfig['consumer'];
  readonly #revocation: Revocation | undefined;
  readonly #findings = new WeakMap<ClientCertificate, Finding>();

  constructor({ allow, consumer, crl }: MtlsConfig, env: Env) {
    this.#env = env;
    this.#allowed = allow.map((one) => ({
      test: certificateTest(one),
      consumer: one.consumer && consumerOf(one.consumer),
    }));
    this.#consumer = consumer;
    this.#revocation = crl && new Revocation(crl, env);
  }

  authenticate({ client: { clientCertificate: certificate } }: Exchange): Identity | Fault | 'absent' {
    if (certificate === undefined) return 'absent';
    const version = this.#revocation?.version ?? NO_LISTS;
    const known = this.#findings.get(certificate);
    const found =
      known !== undefined && this.#env.wallMs() < known.untilMs && isSame(known.version, version)
        ? known.found
        : this.#find(certificate, version);
    if (found instanceof Fault) this.#env.count('refused');
    return found;
  }

  close(): void {
    this.#revocation?.close();
  }

  #find(certificate: ClientCertificate, version: readonly unknown[]): Identity | Fault {
    let facts: CertificateFacts;
    try {
      facts = factsOf(certificate);
    } catch {
      return refusal('mtls.not-allowed', certificate, 'cannot be read');
    }
    const wallMs = this.#env.wallMs();
    // Verified when the connection was opened, which may be long ago.
    if (!(wallMs < facts.notAfterMs)) return refusal('mtls.expired', certificate, 'has expired');
    const { standing, untilMs } = this.#revocation?.standingOf(facts) ?? { standing: 'good', untilMs: Infinity };
    const found =
      standing === 'revoked'
        ? refusal('mtls.revoked', certificate, 'was revoked')
        : standing === 'unknown'
          ? refusal('mtls.revocation-unknown', certificate, 'is of an authority without a list that holds')
          : this.#identityOf(certificate, facts);
    this.#findings.set(certificate, { found, untilMs: Math.min(untilMs, facts.notAfterMs), version });
    return found;
  }

  #identityOf(certificate: ClientCertificate, facts: CertificateFacts): Identity | Fault {
    const entry = this.#allowed.find(({ test }) => test(certificate, facts));
    if (entry === undefined && this.#allowed.length > 0) {
      return refusal('mtls.not-allowed', certificate, 'fits no entry of allow');
    }
    const workload = workloadOf(certificate)?.id;
    return identityOf({
      method: 'mtls',
      subject: workload ?? certificate.subject,
      issuer: facts.issuer,
      consumer: entry?.consumer ?? this.#namedConsumer(certificate, facts),
      workload,
    });
  }

  #namedConsumer(certificate: ClientCertificate, { emails }: CertificateFacts): Consumer | undefined {
    if (this.#consumer === undefined) return undefined;
    const name = {
      commonName: certificate.commonName,
      spiffe: workloadOf(certificate)?.id,
      dns: certificate.dns[0],
      email: emails[0],
      subject: certificate.subject,
    }[this.#consumer];
    return name === undefined || name === '' ? undefined : consumerOf({ name, groups: [], labels: {} });
  }
}

function refusal(kind: keyof typeof MTLS_FAULTS, { fingerprint }: ClientCertificate, what: string): Fault {
  return new Fault(MTLS_FAULTS[kind], `Client certificate ${fingerprint.slice(0, 16)}… ${what}`);
}

function isSame(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((one, i) => one === b[i]);
}
