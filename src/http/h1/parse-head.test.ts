import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FaultCode } from '../../base/fault.ts';
import { Headers } from '../headers.ts';
import { SEEN_CLIENT_CERT, SEEN_FORWARDED, SEEN_TE_TRAILERS, SEEN_UNDERSCORE } from '../seen.ts';
import { emptyFacts, type HeadFacts, parseRequestHead, parseResponseHead } from './parse-head.ts';

const LIMITS = { headersMax: 10 };

function parse(
  read: typeof parseRequestHead,
  text: string,
): { code: string | undefined; facts: HeadFacts; headers: Headers } {
  const facts = emptyFacts();
  const headers = new Headers();
  const end = text.indexOf('\r\n\r\n') + 2;
  const fault = read(text, { start: 0, end }, { facts, headers, limits: LIMITS });
  return { code: fault?.code, facts, headers };
}

const REQUESTS: [rule: string, head: string, want: FaultCode | Partial<HeadFacts>][] = [
  [
    'a plain request is read',
    'GET /a?b HTTP/1.1\r\nHost: x\r\n',
    { method: 'GET', target: '/a?b', host: 'x', minorVersion: 1 },
  ],
  ['a custom method is a token', 'PURGE / HTTP/1.1\r\nHost: x\r\n', { method: 'PURGE' }],
  ['an empty method is refused', ' / HTTP/1.1\r\nHost: x\r\n', 'request.malformed'],
  ['a method with a control byte is refused', 'G\x01T / HTTP/1.1\r\nHost: x\r\n', 'request.malformed'],
  ['two spaces after the method are refused', 'GET  / HTTP/1.1\r\nHost: x\r\n', 'request.malformed'],
  ['two spaces before the version are refused', 'GET /  HTTP/1.1\r\nHost: x\r\n', 'request.malformed'],
  ['a tab is not a separator', 'GET\t/ HTTP/1.1\r\nHost: x\r\n', 'request.malformed'],
  ['a raw byte above ASCII in the target is refused', 'GET /\xe9 HTTP/1.1\r\nHost: x\r\n', 'request.malformed'],
  ['a NUL in the target is refused', 'GET /\0 HTTP/1.1\r\nHost: x\r\n', 'request.malformed'],
  ['HTTP/0.9 is refused', 'GET /\r\nHost: x\r\n', 'request.malformed'],
  ['a lower-case version is refused', 'GET / http/1.1\r\nHost: x\r\n', 'request.malformed'],
  ['white space after the version is refused', 'GET / HTTP/1.1 \r\nHost: x\r\n', 'request.malformed'],
  ['HTTP/2.0 is not spoken here', 'PRI * HTTP/2.0\r\n\r\n', 'request.version-unsupported'],
  ['HTTP/1.2 is not spoken here', 'GET / HTTP/1.2\r\nHost: x\r\n', 'request.version-unsupported'],
  ['HTTP/1.10 is not a version', 'GET / HTTP/1.10\r\nHost: x\r\n', 'request.malformed'],
  ['HTTP/1.1 needs a host', 'GET / HTTP/1.1\r\nA: b\r\n', 'request.host-invalid'],
  ['two hosts are refused, equal ones too', 'GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n', 'request.host-invalid'],
  ['HTTP/1.0 closes unless asked to stay', 'GET / HTTP/1.0\r\n\r\n', { close: true, minorVersion: 0 }],
  ['HTTP/1.0 stays when asked', 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n', { close: false }],
  ['space before the colon is refused', 'GET / HTTP/1.1\r\nHost : x\r\n', 'request.malformed'],
  ['a folded line is refused', 'GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n', 'request.malformed'],
  ['a first line that is folded is refused', 'GET / HTTP/1.1\r\n Host: x\r\n', 'request.malformed'],
  ['an empty name is refused', 'GET / HTTP/1.1\r\nHost: x\r\n: b\r\n', 'request.malformed'],
  ['a name with a byte that is no token is refused', 'GET / HTTP/1.1\r\nHost: x\r\nA(: b\r\n', 'request.malformed'],
  ['a line without a colon is refused', 'GET / HTTP/1.1\r\nHost: x\r\nabc\r\n', 'request.malformed'],
  ['a bare LF inside a value is refused', 'GET / HTTP/1.1\r\nHost: x\r\nA: b\nC: d\r\n', 'request.malformed'],
  ['a bare CR inside a value is refused', 'GET / HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\n', 'request.malformed'],
  ['a NUL in a value is refused', 'GET / HTTP/1.1\r\nHost: x\r\nA: b\0\r\n', 'request.malformed'],
  ['DEL in a value is refused', 'GET / HTTP/1.1\r\nHost: x\r\nA: b\x7f\r\n', 'request.malformed'],
  ['a length is digits', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 42\r\n', { contentLength: 42 }],
  [
    'white space around a length is no part of it',
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \t42 \r\n',
    { contentLength: 42 },
  ],
  ['a signed length is refused', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n', 'request.ambiguous-length'],
  ['a negative length is refused', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -4\r\n', 'request.ambiguous-length'],
  [
    'a hexadecimal length is refused',
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x4\r\n',
    'request.ambiguous-length',
  ],
  [
    'a list of lengths is refused',
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4, 4\r\n',
    'request.ambiguous-length',
  ],
  ['an empty length is refused', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n', 'request.ambiguous-length'],
  [
    'a length beyond exact integers is refused',
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999999\r\n',
    'request.ambiguous-length',
  ],
  [
    'a repeated length is refused',
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 4\r\n',
    'request.ambiguous-length',
  ],
  [
    'length and coding together are refused',
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n',
    'request.ambiguous-length',
  ],
  ['chunked is known, in any case', 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n', { chunked: true }],
  [
    'an unknown coding is refused',
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n',
    'request.coding-unsupported',
  ],
  [
    'a list that ends in chunked is refused',
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n',
    'request.ambiguous-length',
  ],
  [
    'chunked twice is refused',
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n',
    'request.ambiguous-length',
  ],
  [
    'a disguised coding is refused',
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n',
    'request.ambiguous-length',
  ],
  [
    'a repeated coding is refused',
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n',
    'request.ambiguous-length',
  ],
  [
    'a coding in HTTP/1.0 is refused',
    'POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n',
    'request.ambiguous-length',
  ],
  [
    '100-continue is the one expectation',
    'PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\n',
    { expectContinue: true },
  ],
  ['any other expectation fails', 'PUT / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n', 'request.expectation-failed'],
  [
    'upgrade needs the connection option',
    'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n',
    { upgrade: undefined },
  ],
  [
    'upgrade with the option is seen, in any order',
    'GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n',
    { upgrade: 'websocket' },
  ],
  [
    'HTTP/1.0 cannot upgrade',
    'GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n',
    { upgrade: undefined },
  ],
  ['close is an option among others', 'GET / HTTP/1.1\r\nHost: x\r\nConnection: x-a , Close\r\n', { close: true }],
  ['an underscore is reported', 'GET / HTTP/1.1\r\nHost: x\r\nX_A: b\r\n', { seen: SEEN_UNDERSCORE }],
  ['an underscore in a value is not', 'GET / HTTP/1.1\r\nHost: x\r\nX-A: b_c\r\n', { seen: 0 }],
  ['forwarding fields are reported', 'GET / HTTP/1.1\r\nHost: x\r\nx-forwarded-Proto: b\r\n', { seen: SEEN_FORWARDED }],
  ['a client certificate is reported', 'GET / HTTP/1.1\r\nHost: x\r\nClient-CERT: b\r\n', { seen: SEEN_CLIENT_CERT }],
  ['its chain is reported', 'GET / HTTP/1.1\r\nHost: x\r\nclient-cert-chain: b\r\n', { seen: SEEN_CLIENT_CERT }],
  ['TE trailers is reported', 'GET / HTTP/1.1\r\nHost: x\r\nTE: gzip;q=0.5, trailers\r\n', { seen: SEEN_TE_TRAILERS }],
  ['too many lines are refused', `GET / HTTP/1.1\r\nHost: x\r\n${'A: b\r\n'.repeat(10)}`, 'request.headers-too-large'],
];

for (const [rule, head, want] of REQUESTS) {
  test(`parseRequestHead: ${rule}`, () => {
    const { code, facts } = parse(parseRequestHead, head.endsWith('\r\n\r\n') ? head : `${head}\r\n`);
    if (typeof want === 'string') assert.equal(code, want);
    else {
      assert.equal(code, undefined);
      for (const [name, value] of Object.entries(want)) assert.deepEqual(facts[name as keyof HeadFacts], value, name);
    }
  });
}

const RESPONSES: [rule: string, head: string, want: FaultCode | Partial<HeadFacts>][] = [
  [
    'a plain answer is read',
    'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n',
    { status: 200, reason: 'OK', contentLength: 3 },
  ],
  ['an empty phrase is fine', 'HTTP/1.1 204 \r\n', { status: 204, reason: '' }],
  ['a missing space before an empty phrase is fine', 'HTTP/1.1 204\r\n', { status: 204, reason: '' }],
  ['a status of two digits is refused', 'HTTP/1.1 20 OK\r\n', 'upstream.malformed'],
  ['a status of four digits is refused', 'HTTP/1.1 2000 OK\r\n', 'upstream.malformed'],
  ['a status above 599 is refused', 'HTTP/1.1 600 OK\r\n', 'upstream.malformed'],
  ['a status below 100 is refused', 'HTTP/1.1 099 OK\r\n', 'upstream.malformed'],
  ['an unknown version is refused', 'HTTP/2 200 OK\r\n', 'upstream.malformed'],
  ['another protocol is refused', 'ICY 200 OK\r\n', 'upstream.malformed'],
  [
    'length and coding together are refused',
    'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n',
    'upstream.malformed',
  ],
  [
    'a repeated length is refused',
    'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n',
    'upstream.malformed',
  ],
  ['a coding from HTTP/1.0 is refused', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n', 'upstream.malformed'],
  ['a folded line is refused', 'HTTP/1.1 200 OK\r\nA: b\r\n c\r\n', 'upstream.malformed'],
  ['HTTP/1.0 closes', 'HTTP/1.0 200 OK\r\n', { close: true }],
  ['a keep-alive timeout is read', 'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=100\r\n', { keepAliveSeconds: 5 }],
];

for (const [rule, head, want] of RESPONSES) {
  test(`parseResponseHead: ${rule}`, () => {
    const { code, facts } = parse(parseResponseHead, `${head}\r\n`);
    if (typeof want === 'string') assert.equal(code, want);
    else {
      assert.equal(code, undefined);
      for (const [name, value] of Object.entries(want)) assert.deepEqual(facts[name as keyof HeadFacts], value, name);
    }
  });
}

test('Headers: hop-by-hop and framing lines are readable but not written on', () => {
  const { headers } = parse(
    parseRequestHead,
    'POST / HTTP/1.1\r\nHost: x\r\nA: 1\r\nConnection: x-hop, close\r\nX-Hop: gone\r\nB: 2\r\nContent-Length: 3\r\nTE: trailers\r\n\r\n',
  );
  assert.equal(headers.toLines(), 'A: 1\r\nB: 2\r\n');
  assert.equal(headers.get('content-length'), '3');
});

test('Headers: Connection cannot take away what identifies a request', () => {
  const head =
    'GET / HTTP/1.1\r\nHost: x\r\nConnection: authorization, cookie, host, x-forwarded-for\r\nAuthorization: a\r\nCookie: c\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n';
  const { headers, facts } = parse(parseRequestHead, head);
  assert.equal(headers.toLines(), 'Authorization: a\r\nCookie: c\r\nX-Forwarded-For: 1.1.1.1\r\n');
  assert.equal(facts.host, 'x');
});

test('Headers: edits are written in place of the lines they replace', () => {
  const { headers } = parse(parseRequestHead, 'GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\nC:\t3 \r\n\r\n');
  headers.set('B', 'new');
  headers.delete('a');
  headers.add('D', '4');
  assert.equal(headers.toLines(), 'C:\t3 \r\nB: new\r\nD: 4\r\n');
  assert.equal(headers.get('b'), 'new');
  assert.equal(headers.get('c'), '3');
  assert.equal(headers.get('a'), undefined);
});
