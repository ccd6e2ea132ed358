import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { makeCertificate } from '../net/testing/certificates.ts';
import type { Clock } from '../base/clock.ts';
import { ManualClock } from '../base/testing/manual-clock.ts';
import { askRenewalInfo, certificateId, idOf } from './renewal-info.ts';

const root = makeCertificate({ kind: 'ca', subject: 'Root' });
const own = makeCertificate({ hosts: ['127.0.0.1'], issuer: root });
const leaf = makeCertificate({ hosts: ['shop.test'], issuer: root });
const STILL = new ManualClock(Date.parse('2027-01-01T00:00:00Z'));
const HOUR_MS = 3_600_000;

test('certificateId: the example of RFC 9773 section 4.1', () => {
  const keyId = Buffer.from('69885B6B87464041E1B37B847BA0AE2CDE01C8D4', 'hex');
  assert.equal(idOf(keyId, '87654321'), 'aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE');
  assert.equal(idOf(keyId, '1'), 'aYhba4dGQEHhs3uEe6CuLN4ByNQ.AQ');
});

test('certificateId: the key of the issuer is found in the certificate', () => {
  assert.equal(certificateId(leaf.certificatePem)!.split('.')[0], root.keyId.toString('base64url'));
});

/** What is made of the answers of a server. */
async function asked(
  answer: RequestListener,
  cas = [root.leafPem],
  { clock, pem }: { readonly clock: Clock; readonly pem: string } = { clock: STILL, pem: leaf.certificatePem },
): Promise<unknown> {
  const server = createServer({ cert: own.certificatePem, key: own.privateKeyPem }, answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const directory = `https://127.0.0.1:${(server.address() as AddressInfo).port}/dir`;
    return await askRenewalInfo({ directory, cas }, pem, { userAgent: 'test/1', clock });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

function serving(info: string, headers: Record<string, string> = {}, path = '/info'): RequestListener {
  return (request, response) => {
    if (request.headers['user-agent'] !== 'test/1') response.writeHead(400).end('{}');
    else if (request.url === '/dir')
      response.end(JSON.stringify({ renewalInfo: `https://${request.headers.host}${path}` }));
    else if (request.url === `/info/${certificateId(leaf.certificatePem)}`) response.writeHead(200, headers).end(info);
    else response.writeHead(404).end();
  };
}

const WINDOW = JSON.stringify({ suggestedWindow: { start: '2027-02-01T00:00:00Z', end: '2027-02-03T00:00:00Z' } });
const SUGGESTION = { startMs: Date.parse('2027-02-01T00:00:00Z'), endMs: Date.parse('2027-02-03T00:00:00Z') };
const NOTHING = { suggestion: undefined, askAgainMs: 6 * HOUR_MS };

const ROWS: [rule: string, answer: RequestListener, want: unknown][] = [
  [
    'a window, and when to ask again',
    serving(WINDOW, { 'retry-after': '7200' }),
    { suggestion: SUGGESTION, askAgainMs: 2 * HOUR_MS },
  ],
  ['a URL that ends with a slash', serving(WINDOW, {}, '/info/'), { suggestion: SUGGESTION, askAgainMs: 6 * HOUR_MS }],
  ['six hours where the server does not say', serving(WINDOW), { suggestion: SUGGESTION, askAgainMs: 6 * HOUR_MS }],
  [
    'no sooner than in a minute',
    serving(WINDOW, { 'retry-after': '0' }),
    { suggestion: SUGGESTION, askAgainMs: 60_000 },
  ],
  [
    'no later than in a day',
    serving(WINDOW, { 'retry-after': '999999' }),
    { suggestion: SUGGESTION, askAgainMs: 24 * HOUR_MS },
  ],
  ['a window that ends before it starts is none', serving(WINDOW.replace('02-03', '01-03')), NOTHING],
  ['what is no window is none', serving('{"suggestedWindow":5}'), NOTHING],
  ['what is no JSON is none', serving('no'), NOTHING],
  ['an answer without end is none', serving(' '.repeat(100_000)), NOTHING],
  [
    'an answer that is cut short is none',
    (_, response) => response.writeHead(200, { 'content-length': '100' }).write('{', () => response.destroy()),
    NOTHING,
  ],
  ['a server without ARI suggests nothing', (_, response) => response.end('{}'), NOTHING],
  ['one that fails suggests nothing', (_, response) => response.writeHead(500).end(), NOTHING],
];

for (const [rule, answer, want] of ROWS) {
  test(`renewal info: ${rule}`, async () => assert.deepEqual(await asked(answer), want));
}

test('renewal info: a server that the bundle does not vouch for is not believed', async () => {
  const other = makeCertificate({ kind: 'ca', subject: 'Other' });
  assert.deepEqual(await asked(serving(WINDOW), [other.leafPem]), NOTHING);
});

test('renewal info: an answer that comes drop by drop is not waited for without end', async () => {
  const clock = new ManualClock();
  let drops = 0;
  const answer: RequestListener = (_, response) => {
    const drop = (): void => {
      if (response.destroyed) return;
      drops++;
      clock.advance(1_000);
      response.write(' ', () => setImmediate(drop));
    };
    drop();
  };
  assert.deepEqual(await asked(answer, [root.leafPem], { clock, pem: leaf.certificatePem }), NOTHING);
  assert.ok(drops >= 30, `after ${drops} s`);
  assert.equal(clock.pending, 0);
});

test('renewal info: what is no certificate is one that nothing is suggested for', async () => {
  assert.deepEqual(await asked(serving(WINDOW), [root.leafPem], { clock: STILL, pem: 'no' }), NOTHING);
});
