/**
 * Cost of a request of a user that is known, and of one without a user. Budgets: 2 µs and 0.1 µs.
 * Run: `node src/filters/user-context/filter.bench.ts`.
 */
import { bench, keep } from '../../../tools/bench.ts';
import { identityOf } from '../../filter/identity.ts';
import { makeEnv, makeExchange, TEST_WALL_MS } from '../../filter/testing/exchange.ts';
import { USER_CONTEXT_FIELD } from '../../filter/user-context.ts';
import type { ClientCertificate } from '../../net/client-certificate.ts';
import { makeCertificate } from '../../net/testing/certificates.ts';
import { ownIdentityOf } from '../../proxy/own-identity.ts';
import { code as believing } from './filter.ts';
import { code as signing } from './signing.ts';

const id = 'spiffe://cluster.local/ns/fourways/sa/gateway';
const around = { notBeforeMs: TEST_WALL_MS - 86_400_000, notAfterMs: TEST_WALL_MS + 86_400_000 };
const root = makeCertificate({ kind: 'ca', ...around });
const issuer = makeCertificate({ kind: 'ca', issuer: root, ...around });
const { certificatePem, privateKeyPem } = makeCertificate({ kind: 'workload', uris: [id], issuer, ...around });
const secret = { certificatePem, privateKeyPem };

const signer = signing.make(
  { audience: ['cluster.local'], lifetimeMs: 60_000 },
  makeEnv({ ownIdentity: () => ownIdentityOf(secret) }),
);
const believer = believing.make(
  { audience: 'cluster.local', signers: [id], trust: { 'cluster.local': [root.leafPem] } },
  makeEnv(),
);
const match = { matchedPath: '/' };
const identity = identityOf({ method: 'jwt', subject: 'alice', claims: { role: 'admin' } });
const atEdge = makeExchange({ identity, headers: { accept: '*/*' } });
signer.onRequest!(atEdge, match);
const text = atEdge.request.headers.get(USER_CONTEXT_FIELD)!;

const client = { clientCertificate: { uri: [id] } as unknown as ClientCertificate };
const withUser = makeExchange({ client, headers: { accept: '*/*', [USER_CONTEXT_FIELD]: text } });
const without = makeExchange({ client, headers: { accept: '*/*' } });

bench('signed for a known user', () => keep(signer.onRequest!(atEdge, match)));
bench('checked, of a known user', () => {
  keep(believer.authenticate!(withUser));
  keep(believer.onRequest!(withUser, match));
});
bench('without a user', () => {
  keep(believer.authenticate!(without));
  keep(believer.onRequest!(without, match));
});
