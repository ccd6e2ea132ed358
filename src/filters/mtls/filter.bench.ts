/**
 * Cost of a request on a connection whose certificate is known. Budget: 1 µs.
 * Run: `node src/filters/mtls/filter.bench.ts`.
 */
import { X509Certificate } from 'node:crypto';
import { bench, keep } from '../../../tools/bench.ts';
import { makeEnv, makeExchange } from '../../filter/testing/exchange.ts';
import { readClientCertificate } from '../../net/client-certificate.ts';
import { makeCertificate } from '../../net/testing/certificates.ts';
import { check } from '../../schema/schema.ts';
import { MtlsConfig } from './config.ts';
import { code } from './filter.ts';

const { leafPem } = makeCertificate({ kind: 'client', uris: ['spiffe://shop.test/ns/a/sa/web'] });
const clientCertificate = readClientCertificate(new X509Certificate(leafPem));
const env = { ...makeEnv(), wallMs: () => Date.now() };
const { value } = check(MtlsConfig, { allow: [{ spiffe: ['spiffe://shop.test/*'] }] });
const filter = code.make(value!, env);
const x = makeExchange({ client: { clientCertificate } });

bench('a known certificate', () => keep(filter.authenticate!(x)));
