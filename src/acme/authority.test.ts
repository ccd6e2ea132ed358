/** How a server that refuses, fails or lies is seen. What a good one does is tried against Pebble (test/acme.test.ts). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import type { IssuerTerms } from '../compile/issuer.ts';
import { makeCertificate } from '../net/testing/certificates.ts';
import { Authority } from './authority.ts';
import { AcmeRefusal } from './refusal.ts';

const root = makeCertificate({ kind: 'ca', subject: 'Root' });
const NOW_MS = Date.parse('2027-01-01T00:00:00Z');

interface Asked {
  readonly error: unknown;
  /** Requests for an order. */
  readonly orders: number;
  readonly agents: ReadonlySet<string | undefined>;
}

/** A server that is good until an order is asked for, which `answer` deals with. */
class AcmeServer implements Disposable {
  readonly agents = new Set<string | undefined>();
  readonly server: Server;
  orders = 0;

  constructor(answer: RequestListener) {
    const own = makeCertificate({ hosts: ['127.0.0.1'], issuer: root });
    const serve: RequestListener = (request, response) => this.#serve(request, response, answer);
    this.server = createServer({ cert: own.certificatePem, key: own.privateKeyPem }, serve).listen(0, '127.0.0.1');
  }

  /** An authority that is this server. */
  async authority(terms: Partial<IssuerTerms> = {}): Promise<Authority> {
    if (!this.server.listening) await once(this.server, 'listening');
    const directory = `https://127.0.0.1:${(this.server.address() as AddressInfo).port}/dir`;
    return new Authority({
      terms: {
        directory,
        cas: [root.leafPem],
        email: undefined,
        externalAccount: undefined,
        termsAgreed: true,
        ...terms,
      } as IssuerTerms,
      userAgent: 'fourways/test',
      wallMs: () => NOW_MS,
    });
  }

  [Symbol.dispose](): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  #serve(request: IncomingMessage, response: ServerResponse, answer: RequestListener): void {
    const home = `https://${request.headers.host}`;
    this.agents.add(request.headers['user-agent']);
    response.setHeader('replay-nonce', 'nonce');
    if (request.url === '/dir') {
      response.end(
        JSON.stringify({ newNonce: `${home}/nonce`, newAccount: `${home}/account`, newOrder: `${home}/order` }),
      );
    } else if (request.url === '/account') response.writeHead(201, { location: `${home}/account/1` }).end('{}');
    else if (request.url === '/order') {
      this.orders++;
      answer(request, response as never);
    } else response.end();
  }
}

/** Signs in and asks for an order. */
async function orderFrom(answer: RequestListener, terms: Partial<IssuerTerms> = {}): Promise<Asked> {
  using server = new AcmeServer(answer);
  using authority = await server.authority(terms);
  const error = await (async () => {
    await authority.begin(undefined);
    await authority.order(['shop.test'], undefined);
  })().catch((caught: unknown) => caught);
  return { error, orders: server.orders, agents: server.agents };
}

function problem(
  status: number,
  type: string,
  more: object = {},
  headers: Record<string, string> = {},
): RequestListener {
  return (_, response) =>
    response
      .writeHead(status, { 'content-type': 'application/problem+json', ...headers })
      .end(JSON.stringify({ type: `urn:ietf:params:acme:error:${type}`, detail: 'too many', ...more }));
}

const ROWS: [
  rule: string,
  answer: RequestListener,
  want: Pick<AcmeRefusal, 'message' | 'type' | 'status' | 'retryAfterMs'>,
][] = [
  [
    'a limit, and for how long (RFC 8555 section 6.6)',
    problem(429, 'rateLimited', {}, { 'retry-after': '7200' }),
    { message: 'rateLimited: too many', type: 'rateLimited', status: 429, retryAfterMs: 7_200_000 },
  ],
  [
    'until when, as a date',
    problem(503, 'serverInternal', {}, { 'retry-after': 'Fri, 01 Jan 2027 01:00:00 GMT' }),
    { message: 'serverInternal: too many', type: 'serverInternal', status: 503, retryAfterMs: 3_600_000 },
  ],
  [
    'which of several names it was (RFC 8555 section 6.7.1)',
    problem(403, 'rejectedIdentifier', { subproblems: [{ identifier: { value: 'shop.test' }, detail: 'on a list' }] }),
    {
      message: 'rejectedIdentifier: too many; shop.test: on a list',
      type: 'rejectedIdentifier',
      status: 403,
      retryAfterMs: undefined,
    },
  ],
  [
    'an error that is no problem document',
    (_, response) => response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>'),
    { message: 'the server gave no reason', type: '', status: 502, retryAfterMs: undefined },
  ],
  [
    'a redirect: nothing signed is sent elsewhere',
    (_, response) => response.writeHead(307, { location: 'https://127.0.0.1:1/' }).end(),
    { message: '', type: '', status: 0, retryAfterMs: undefined },
  ],
];

for (const [rule, answer, want] of ROWS) {
  test(`authority: ${rule}; said at once, without asking again`, async () => {
    const { error, orders, agents } = await orderFrom(answer);
    assert.equal(orders, 1);
    assert.deepEqual([...agents], ['fourways/test']);
    assert.ok(error instanceof Error);
    if (want.status === 0) return;
    assert.ok(error instanceof AcmeRefusal);
    const { message, type, status, retryAfterMs } = error;
    assert.deepEqual({ message, type, status, retryAfterMs }, want);
  });
}

test('authority: a nonce that is refused is asked for again, a few times', async () => {
  const { error, orders } = await orderFrom(problem(400, 'badNonce'));
  assert.ok(error instanceof Error);
  assert.ok(orders > 1 && orders < 10, `asked ${orders} times`);
});

test('authority: an answer without end is refused', async () => {
  const { error } = await orderFrom((_, response) => response.writeHead(201).end('x'.repeat(3_000_000)));
  assert.match(String(error), /maxContentLength/);
});

test('authority: a server that the bundle does not vouch for is not spoken to', async () => {
  const other = makeCertificate({ kind: 'ca', subject: 'Other' });
  const { error, orders } = await orderFrom(problem(429, 'rateLimited'), { cas: [other.leafPem] });
  assert.equal(orders, 0);
  assert.match(String(error), /certificate/);
});

test('authority: of two at one host, each counts by the roots of its own', async () => {
  using server = new AcmeServer(problem(429, 'rateLimited'));
  using one = await server.authority();
  using two = await server.authority({ cas: [makeCertificate({ kind: 'ca', subject: 'Other' }).leafPem] });
  using third = await server.authority({ cas: [] });
  await one.begin(undefined);
  await assert.rejects(two.begin(undefined), /certificate/);
  await assert.rejects(third.begin(undefined), /certificate/);
  await assert.rejects(one.order(['shop.test'], undefined), AcmeRefusal);
});

test('authority: its connections end with it', async () => {
  using server = new AcmeServer(problem(429, 'rateLimited'));
  const authority = await server.authority();
  let socket!: TLSSocket;
  server.server.on('secureConnection', (latest: TLSSocket) => (socket = latest));
  await authority.begin(undefined);
  assert.equal(socket.destroyed, false, 'kept for the next question');
  const closed = once(socket, 'close');
  authority[Symbol.dispose]();
  await closed;
});

test('authority: one that nobody answers for is said in the words of the system', async () => {
  const terms = { directory: 'https://127.0.0.1:1/dir', cas: [], termsAgreed: true } as unknown as IssuerTerms;
  using authority = new Authority({ terms, userAgent: 'fourways/test', wallMs: () => NOW_MS });
  await assert.rejects(authority.begin(undefined), /ECONNREFUSED/);
});
