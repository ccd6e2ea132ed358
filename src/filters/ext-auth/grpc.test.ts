/** The whole way over gRPC: the authorizer is a server of `@grpc/grpc-js` with a codec of its own for Envoy's messages. */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { identityOf } from '../../filter/identity.ts';
import { linesOf, makeEnv, makeExchange } from '../../filter/testing/exchange.ts';
import { Headers } from '../../http/headers.ts';
import { clusterTo, Harness, request, routeOf, ruleTo, Upstream } from '../../proxy/testing/node-harness.ts';
import { check } from '../../schema/schema.ts';
import { extAuth, ExtAuthConfig } from './config.ts';
import { code } from './filter.ts';

const PROTO = fileURLToPath(new URL('testdata/ext_authz.proto', import.meta.url));
const definition = loadSync(PROTO, { keepCase: true, longs: Number, enums: Number });
const { Check } = definition['envoy.service.auth.v3.Authorization'] as unknown as {
  readonly Check: grpc.MethodDefinition<Said, object>;
};

interface Said {
  readonly attributes: {
    readonly source: { readonly address: object; readonly principal: string };
    readonly request: { readonly time: object; readonly http: Record<string, unknown> };
    readonly context_extensions: Record<string, string>;
    readonly metadata_context?: object;
    readonly tls_session?: object;
  };
}

type Authorize = (call: grpc.ServerUnaryCall<Said, object>, answer: grpc.sendUnaryData<object>) => void;

let authorize: Authorize;
let port = 0;
const server = new grpc.Server();
let upstream: Upstream;

before(async () => {
  server.addService(
    { Check } as unknown as grpc.ServiceDefinition,
    {
      Check: ((call, answer) => authorize(call, answer)) as Authorize,
    } as unknown as grpc.UntypedServiceImplementation,
  );
  port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  upstream = await Upstream.start((asked, answer) => {
    let body = '';
    asked.setEncoding('utf8').on('data', (text: string) => (body += text));
    asked.on('end', () => {
      answer.setHeader('x-mode', 'upstream');
      answer.end(JSON.stringify({ headers: asked.headers, url: asked.url, body }));
    });
  });
});

after(async () => {
  server.forceShutdown();
  await upstream[Symbol.asyncDispose]();
});

async function guard(config: object, at = port): Promise<Harness> {
  const proxy = new Harness([extAuth]);
  const { value, issues } = check(ExtAuthConfig, { backend: { name: 'a' }, grpc: {}, ...config });
  assert.deepEqual(issues, []);
  const lowered = { ...(value as ExtAuthConfig), backend: { cluster: 'a' } };
  await proxy.start({
    routes: { r: routeOf(ruleTo({ filters: [{ filter: 'extAuth', config: lowered, owner: 'Policy d/p' }] })) },
    clusters: { c: clusterTo([upstream.port]), a: clusterTo([at], { protocol: 'h2' }) },
  });
  return proxy;
}

const option = (key: string, value: string, more: object = {}): object => ({ header: { key, value }, ...more });

test('extAuth over gRPC: the authorizer sees the request as Envoy shows it', async () => {
  let seen: Said | undefined;
  let metadata: grpc.MetadataValue[] = [];
  authorize = (call, answer) => {
    seen = call.request;
    metadata = call.metadata.get('user-agent');
    answer(null, { status: { code: 0 } });
  };
  await using proxy = await guard({
    grpc: { contextExtensions: { tenant: 'shop' } },
    withBody: { bytesMax: 4, beyond: 'part' },
  });
  const got = await request(proxy.port, {
    method: 'POST',
    path: '/a%20b?c=d',
    headers: {
      host: 'shop.test',
      'X-Two': ['1', '2'],
      'x-utf': Buffer.from('é').toString('latin1'),
      'x-forwarded-for': '203.0.113.1',
    },
    body: Buffer.from('hällo'),
  });
  assert.equal(got.status, 200, got.body);
  assert.equal((JSON.parse(got.body) as { readonly body: string }).body, 'hällo');
  assert.ok(seen !== undefined);
  const { source, request: asked, context_extensions, tls_session, metadata_context } = seen.attributes;
  const { headers, id, size, ...http } = asked.http;
  assert.deepEqual(http, {
    method: 'POST',
    path: '/a%20b?c=d',
    host: 'shop.test',
    scheme: 'http',
    body: 'häl',
  });
  assert.match(String(id), /^[0-9a-f]{32}$/);
  assert.equal(size, 6);
  const { 'x-request-id': requestId, ...others } = headers as Record<string, string>;
  assert.equal(requestId, id);
  assert.deepEqual(others, {
    ':authority': 'shop.test',
    ':method': 'POST',
    ':path': '/a%20b?c=d',
    ':scheme': 'http',
    'x-two': '1,2',
    'x-utf': 'é',
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-proto': 'http',
    'x-envoy-auth-partial-body': 'true',
  });
  assert.deepEqual(context_extensions, { tenant: 'shop' });
  assert.equal(tls_session, undefined);
  assert.equal(metadata_context, undefined);
  assert.match(JSON.stringify(source.address), /"address":"127\.0\.0\.1".*"port_value":[1-9]/);
  assert.deepEqual(metadata, ['fourways']);
});

const ALLOWED: [rule: string, ok: object, want: { headers?: object; url?: string; answer?: object }][] = [
  [
    'sets and appends headers of the request',
    { headers: [option('X-User', 'ann'), option('x-kept', '2', { append: { value: true } })] },
    { headers: { 'x-user': 'ann', 'x-kept': '1, 2' } },
  ],
  ['replaces by default', { headers: [option('x-kept', '2')] }, { headers: { 'x-kept': '2' } }],
  [
    'adds what is absent only',
    { headers: [option('x-kept', '2', { append_action: 1 }), option('x-new', '1', { append_action: 1 })] },
    { headers: { 'x-kept': '1', 'x-new': '1' } },
  ],
  [
    'overwrites what is there only',
    { headers: [option('x-kept', '2', { append_action: 3 }), option('x-new', '1', { append_action: 3 })] },
    { headers: { 'x-kept': '2', 'x-new': undefined } },
  ],
  [
    'removes headers',
    { headers_to_remove: ['X-Kept', 'host'] },
    { headers: { 'x-kept': undefined, host: 'shop.test' } },
  ],
  ['what the client says of itself is gone', {}, { headers: { 'x-role': undefined } }],
  [
    'bytes that are no UTF-8',
    { headers: [{ header: { key: 'x-raw', raw_value: Buffer.from([0x61, 0xe9]) } }] },
    { headers: { 'x-raw': 'a\xe9' } },
  ],
  [
    'nothing that would break or steer the message',
    {
      headers: [
        option(':path', '/admin'),
        option('host', 'other.test'),
        option('Content-Length', '0'),
        option('transfer-encoding', 'chunked'),
        option('x-split', 'a\r\nx-injected: 1'),
        option('x y', '1'),
        option('', '1'),
        {},
      ],
    },
    {
      url: '/a?b=1&c=2',
      headers: { host: 'shop.test', 'x-split': undefined, 'x-injected': undefined, 'transfer-encoding': undefined },
    },
  ],
  [
    'changes the query',
    { query_parameters_to_set: [{ key: 'b', value: 'x&y' }], query_parameters_to_remove: ['c'] },
    { url: '/a?b=x%26y' },
  ],
  [
    'adds headers to the answer',
    {
      response_headers_to_add: [
        option('Set-Cookie', 'a=1'),
        option('set-cookie', 'b=2'),
        option('x-mode', 'set', { append: { value: false } }),
      ],
    },
    { answer: { 'set-cookie': ['a=1', 'b=2'], 'x-mode': 'set' } },
  ],
];

for (const [rule, ok, want] of ALLOWED) {
  test(`extAuth over gRPC: ${rule}`, async () => {
    authorize = (_, answer) => answer(null, { status: { code: 0 }, ok_response: ok });
    await using proxy = await guard({ upstreamHeaders: ['X-Role'] });
    const got = await request(proxy.port, {
      path: '/a?b=1&c=2',
      headers: { host: 'shop.test', 'x-kept': '1', 'x-role': 'root' },
    });
    assert.equal(got.status, 200, got.body);
    const seen = JSON.parse(got.body) as { readonly headers: Record<string, unknown>; readonly url: string };
    for (const [name, value] of Object.entries(want.headers ?? {})) assert.equal(seen.headers[name], value, name);
    if (want.url !== undefined) assert.equal(seen.url, want.url);
    for (const [name, value] of Object.entries(want.answer ?? {})) assert.deepEqual(got.headers[name], value, name);
  });
}

const REFUSED: [rule: string, response: object, want: { status: number; body?: RegExp; headers?: object }][] = [
  [
    'by its own answer',
    {
      status: { code: 16 },
      denied_response: { status: { code: 401 }, headers: [option('WWW-Authenticate', 'Bearer')], body: 'who?' },
    },
    {
      status: 401,
      body: /^who\?$/,
      headers: { 'www-authenticate': 'Bearer', 'content-type': 'text/plain; charset=utf-8' },
    },
  ],
  [
    'with the status that is left out',
    { status: { code: 7 }, denied_response: { body: 'no' } },
    { status: 403, body: /^no$/ },
  ],
  ['without an answer', { status: { code: 7 } }, { status: 403, body: /extAuth\.refused/ }],
  ['by its status, whatever answer is there', { status: { code: 7 }, ok_response: {} }, { status: 403 }],
  ['with a status that is none', { status: { code: 7 }, denied_response: { status: { code: 99 } } }, { status: 403 }],
  [
    'with headers that would break the message',
    {
      status: { code: 7 },
      denied_response: { headers: [option('content-length', '999'), option('a', 'b\nc')], body: 'no' },
    },
    { status: 403, body: /^no$/, headers: { 'content-length': '2', a: undefined } },
  ],
  ['OK and denied say nothing', { status: { code: 0 }, denied_response: { status: { code: 401 } } }, { status: 502 }],
  ['an error of its own', { status: { code: 13 }, error_response: { status: { code: 500 } } }, { status: 503 }],
];

for (const [rule, response, want] of REFUSED) {
  test(`extAuth over gRPC: refused ${rule}`, async () => {
    authorize = (_, answer) => answer(null, response);
    await using proxy = await guard({});
    const got = await request(proxy.port);
    assert.equal(got.status, want.status);
    assert.match(got.body, want.body ?? /^/);
    for (const [name, value] of Object.entries(want.headers ?? {})) assert.equal(got.headers[name], value, name);
  });
}

test('extAuth over gRPC: short words of its metadata stand in the log', async () => {
  const fields = {
    team: { stringValue: 'x'.repeat(200) },
    score: { numberValue: 0.5 },
    nested: { structValue: { fields: {} } },
    'bad name': { stringValue: 'x' },
  };
  authorize = (_, answer) => answer(null, { status: { code: 0 }, ok_response: {}, dynamic_metadata: { fields } });
  await using proxy = await guard({});
  await request(proxy.port);
  const [line] = proxy.lines();
  assert.deepEqual(line!['filters'], { extAuth: 'allowed', 'extAuth.team': 'x'.repeat(128), 'extAuth.score': '0.5' });
});

const AWAY: [rule: string, authorizer: Authorize, more: object, want: number][] = [
  ['is slow', () => undefined, { timeout: '50ms' }, 503],
  ['is slow, and requests pass', () => undefined, { timeout: '50ms', whenAway: 'allow' }, 200],
  ['fails', (_, answer) => answer({ code: grpc.status.UNAVAILABLE, details: 'boom' }), {}, 503],
  [
    'says too much',
    (_, answer) => answer(null, { status: { code: 7 }, denied_response: { body: 'x'.repeat(5_000) } }),
    { answerBytesMax: 1_000, whenAway: 'allow' },
    502,
  ],
];

for (const [rule, given, more, want] of AWAY) {
  test(`extAuth over gRPC: the authorizer ${rule}`, async () => {
    authorize = given;
    await using proxy = await guard(more);
    const got = await request(proxy.port);
    assert.equal(got.status, want, got.body);
    assert.doesNotMatch(got.body, /boom|xxx/);
  });
}

test('extAuth over gRPC: nobody is there', async () => {
  await using gone = await Upstream.start(() => undefined);
  await gone[Symbol.asyncDispose]();
  await using proxy = await guard({}, gone.port);
  assert.equal((await request(proxy.port)).status, 503);
});

const FRAMES: [rule: string, status: number, body: Buffer, trailers: [string, string][], want: string | undefined][] = [
  ['an empty message is OK', 200, frame(Buffer.alloc(0)), [['grpc-status', '0']], undefined],
  ['without grpc-status', 200, frame(Buffer.alloc(0)), [], 'extAuth.answer-invalid'],
  ['without a message', 200, Buffer.alloc(0), [['grpc-status', '0']], 'extAuth.answer-invalid'],
  [
    'with two messages',
    200,
    Buffer.concat([frame(Buffer.alloc(0)), frame(Buffer.alloc(0))]),
    [['grpc-status', '0']],
    'extAuth.answer-invalid',
  ],
  ['compressed', 200, frame(Buffer.alloc(0), 1), [['grpc-status', '0']], 'extAuth.answer-invalid'],
  ['of another protocol', 200, frame(Buffer.from('{"allow":true}')), [['grpc-status', '0']], 'extAuth.answer-invalid'],
  ['not of gRPC', 404, Buffer.from('not found'), [], 'extAuth.away'],
];

function frame(message: Buffer, flag = 0): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

for (const [rule, status, body, trailers, want] of FRAMES) {
  test(`extAuth over gRPC: an answer ${rule}`, async () => {
    const env = makeEnv({
      upstream: () => ({
        ask: () => Promise.resolve({ status, headers: new Headers(), body, trailers: Headers.of(trailers) }),
      }),
    });
    const { value } = check(ExtAuthConfig, { backend: { name: 'a' }, grpc: {} });
    const x = makeExchange();
    const said = await code.make(value as ExtAuthConfig, env).onRequest!(x, { matchedPath: '/' });
    assert.equal((said as { readonly code?: string } | undefined)?.code, want);
  });
}

test('extAuth over gRPC: the identity, the name of TLS and the certificate are told', async () => {
  let sent: Buffer = Buffer.alloc(0);
  let headers: string[] = [];
  const env = makeEnv({
    upstream: () => ({
      ask: (question) => {
        sent = question.body!.subarray(5);
        headers = linesOf(question.headers);
        return Promise.resolve({
          status: 200,
          headers: Headers.of([['grpc-status', '0']]),
          body: frame(Buffer.alloc(0)),
          trailers: undefined,
        });
      },
    }),
  });
  const { value } = check(ExtAuthConfig, {
    backend: { name: 'a' },
    grpc: { certificate: 'send', requestHeaders: ['X-A'] },
  });
  const x = makeExchange({
    url: 'https://shop.test/',
    headers: { 'x-a': '1', authorization: 'Bearer secret' },
    identity: identityOf({
      method: 'jwt',
      subject: 'ann',
      issuer: 'https://id.test',
      scopes: ['read'],
      consumer: { name: 'c', groups: ['g'], labels: {} },
    }),
    client: {
      serverName: 'shop.test',
      clientCertificate: {
        subject: 'CN=a',
        commonName: 'a',
        dns: ['a.test'],
        uri: ['spiffe://td/a'],
        fingerprint: '',
        der: Buffer.from('der'),
      },
    },
  });
  await code.make(value as ExtAuthConfig, env).onRequest!(x, { matchedPath: '/' });
  const { attributes } = Check.requestDeserialize(sent) as unknown as {
    readonly attributes: Record<'source' | 'tls_session' | 'metadata_context' | 'request', Record<string, unknown>>;
  };
  assert.equal(attributes.source['principal'], 'spiffe://td/a');
  assert.match(
    decodeURIComponent(String(attributes.source['certificate'])),
    /^-----BEGIN CERTIFICATE-----\nZGVy\n-----END CERTIFICATE-----\n$/,
  );
  assert.deepEqual(attributes.tls_session, { sni: 'shop.test' });
  const text = JSON.stringify(attributes.metadata_context);
  for (const part of ['fourways.identity', 'ann', 'https://id.test', 'read', '"c"', '"g"'])
    assert.ok(text.includes(part), part);
  assert.doesNotMatch(JSON.stringify(attributes.request), /secret/);
  assert.deepEqual(headers, ['content-type: application/grpc', 'grpc-timeout: 1000m', 'user-agent: fourways']);
});
