/**
 * Nothing is smuggled from HTTP/1.1, to a backend of either wire (RFC 9112 section 11.2): each attempt is sent as bytes,
 * and what comes of it must be the same whatever the backend speaks: a refusal, or one request that says what was said.
 * How one parser reads one connection is in test/scenario/; here is what becomes of it on the other side.
 */
import { type AttemptRow, testAttempts } from './client/attempts.ts';
import { attemptH1 } from './client/pairing.ts';

type Attempt = string | { readonly unfinished: string };

type Row = AttemptRow<Attempt>;

const SECOND = 'GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n';
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

function get(...lines: readonly string[]): string {
  return line('GET /a HTTP/1.1', ...lines);
}

/** A request with this first line. */
function line(first: string, ...lines: readonly string[]): string {
  return [first, 'Host: shop.test', ...lines, '', ''].join('\r\n');
}

function post(lines: readonly string[], body: string): string {
  return line('POST /a HTTP/1.1', ...lines) + body;
}

/** A POST in chunks with these trailers. */
function chunked(...trailers: readonly string[]): string {
  return post(['Transfer-Encoding: chunked'], ['5', 'hello', '0', ...trailers, '', ''].join('\r\n'));
}

const NAMES: readonly Row[] = [
  ['a name of HTTP/2', get(':path: /b'), '400 request.malformed'],
  ['a name that is a colon', get(':: 1'), '400 request.malformed'],
  ['an empty name', get(': 1'), '400 request.malformed'],
  ['a name with a space', get('x y: 1'), '400 request.malformed'],
  ['a name with a space behind', get('Transfer-Encoding : chunked'), '400 request.malformed'],
  ['a name with a tab behind', get('Content-Length\t: 5'), '400 request.malformed'],
  ['a name with NUL', get('x\0y: 1'), '400 request.malformed'],
  ['a name with CR', get('x\ry: 1'), '400 request.malformed'],
  ['a name with LF', get('x\ny: 1'), '400 request.malformed'],
  ['a name outside of ASCII', get('x\xe9: 1'), '400 request.malformed'],
  ['a name in upper case', get('X-UPPER: 1'), 'GET /a shop.test\nx-upper: 1'],
  ['a name with every sign of a token', get("X!#$%&'*+-.^`|~0a: 1"), "GET /a shop.test\nx!#$%&'*+-.^`|~0a: 1"],
  ['a name with an underscore', get('Content_Length: 5'), 'GET /a shop.test\ncontent_length: 5'],
  ['a line without a colon', get('x'), '400 request.malformed'],
  ['a folded line', get('x: 1', ' transfer-encoding: chunked'), '400 request.malformed'],
];

const VALUES: readonly Row[] = [
  ['a priority (RFC 9218)', get('Priority: u=1, i'), 'GET /a shop.test\npriority: u=1, i'],
  ['a value with NUL', get('x: 1\x002'), '400 request.malformed'],
  ['a value with CR', get('x: 1\r2'), '400 request.malformed'],
  ['a value with LF and a header', get('x: 1\nTransfer-Encoding: chunked'), '400 request.malformed'],
  ['a value with DEL', get('x: \x7f'), '400 request.malformed'],
  ['a value in blanks', get('x: \t 1 \t '), 'GET /a shop.test\nx: 1'],
  ['an empty value', get('x:'), 'GET /a shop.test\nx: '],
  ['a value outside of ASCII', get('x: caf\xe9'), 'GET /a shop.test\nx: café'],
  [
    'a value with a colon and a second request in one line',
    get('x: 1: GET / HTTP/1.1'),
    'GET /a shop.test\nx: 1: GET / HTTP/1.1',
  ],
  ['two cookies', get('Cookie: a=1', 'X: 1', 'Cookie: b=2'), 'GET /a shop.test\ncookie: a=1\nx: 1\ncookie: b=2'],
  ['a second request behind', get() + SECOND, '200 + 200\nGET /a shop.test\nGET /smuggled shop.test'],
];

const LINES: readonly Row[] = [
  ['a target with a space', line('GET /a b HTTP/1.1'), '400 request.malformed'],
  ['a target with a tab', line('GET /a\tb HTTP/1.1'), '400 request.malformed'],
  ['a target with NUL', line('GET /a\0 HTTP/1.1'), '400 request.malformed'],
  ['a target outside of ASCII', line('GET /\xe9 HTTP/1.1'), '400 request.malformed'],
  ['a target with escaped CRLF stays escaped', line('GET /a%0d%0ax:%201 HTTP/1.1'), 'GET /a%0D%0Ax:%201 shop.test'],
  ['a target with a fragment', line('GET /a#b HTTP/1.1'), '400 request.malformed'],
  ['a target with a backslash', line('GET /a\\b HTTP/1.1'), '400 request.path-invalid'],
  ['a target with two slashes', line('GET //other.test/a HTTP/1.1'), 'GET //other.test/a shop.test'],
  ['a target that climbs', line('GET /../a HTTP/1.1'), '400 request.path-invalid'],
  ['a target without a slash', line('GET a HTTP/1.1'), '400 request.malformed'],
  ['a target with an at sign for a host', line('GET @other.test/a HTTP/1.1'), '400 request.malformed'],
  ['an asterisk without OPTIONS', line('GET * HTTP/1.1'), '400 request.malformed'],
  ['a target of another host counts, and not Host', line('GET http://other.test/a HTTP/1.1'), 'GET /a other.test'],
  ['a target with a user', line('GET http://user@other.test/a HTTP/1.1'), '400 request.host-invalid'],
  ['a target of another scheme', line('GET ftp://other.test/a HTTP/1.1'), '400 request.malformed'],
  ['a target of a host and a query', line('GET http://other.test?x=1 HTTP/1.1'), 'GET /?x=1 other.test'],
  ['a method in lower case is another method', line('get /a HTTP/1.1'), 'get /a shop.test'],
  ['a method with a colon', line('GET: /a HTTP/1.1'), '400 request.malformed'],
  ['a method of a pseudo-header', line(':method /a HTTP/1.1'), '400 request.malformed'],
  ['CONNECT', line('CONNECT shop.test:80 HTTP/1.1'), '405 request.connect-refused'],
  ['CONNECT with a path', line('CONNECT /a HTTP/1.1'), '405 request.connect-refused'],
  ['a version of HTTP/2', line('GET /a HTTP/2.0'), '505 request.version-unsupported'],
  ['no version', line('GET /a'), '400 request.malformed'],
  ['the preface with a header', 'PRI * HTTP/2.0\r\nHost: shop.test\r\n\r\n', '505 request.version-unsupported'],
  ['the preface behind a request', get() + PREFACE, '200 + 505 request.version-unsupported\nGET /a shop.test'],
  ['the preface in a body', post([`Content-Length: ${PREFACE.length}`], PREFACE), `POST /a shop.test\n\n${PREFACE}`],
];

const HOSTS: readonly Row[] = [
  ['two hosts', get('Host: other.test'), '400 request.host-invalid'],
  ['no host', 'GET /a HTTP/1.1\r\n\r\n', '400 request.host-invalid'],
  ['an empty host', 'GET /a HTTP/1.1\r\nHost:\r\n\r\n', '400 request.host-invalid'],
  ['a host with a user', 'GET /a HTTP/1.1\r\nHost: user@shop.test\r\n\r\n', '400 request.host-invalid'],
  ['a host with a path', 'GET /a HTTP/1.1\r\nHost: shop.test/x\r\n\r\n', '400 request.host-invalid'],
  ['a host with a comma', 'GET /a HTTP/1.1\r\nHost: shop.test, other.test\r\n\r\n', '400 request.host-invalid'],
  ['a host with junk for a port', 'GET /a HTTP/1.1\r\nHost: shop.test:8o\r\n\r\n', '400 request.host-invalid'],
  ['a host of HTTP/1.0 that is not said', 'GET /a HTTP/1.0\r\n\r\n', { h1: 'GET /a ', h2: '502 upstream.reset' }],
];

const CONNECTION: readonly Row[] = [
  [
    'a field that Connection names',
    get('Connection: x-secret', 'X-Secret: 1', 'X-Other: 2'),
    'GET /a shop.test\nx-other: 2',
  ],
  [
    'framing that Connection names',
    post(['Connection: content-length, host, transfer-encoding', 'Content-Length: 5'], 'hello'),
    'POST /a shop.test\n\nhello',
  ],
  [
    'chunks that Connection names',
    post(['Connection: transfer-encoding', 'Transfer-Encoding: chunked'], '5\r\nhello\r\n0\r\n\r\n'),
    'POST /a shop.test\n\nhello',
  ],
  ['a pseudo-header that Connection names', get('Connection: :path, :authority, :method'), 'GET /a shop.test'],
  [
    'who the client is, and Connection names it',
    get(
      'Connection: x-forwarded-for, x-request-id, traceparent, authorization, cookie',
      'Authorization: Basic eDp5',
      'Cookie: a=1',
    ),
    'GET /a shop.test\nauthorization: Basic eDp5\ncookie: a=1',
  ],
  [
    'keep-alive and proxy-connection',
    get('Keep-Alive: timeout=5', 'Proxy-Connection: keep-alive', 'Connection: keep-alive'),
    'GET /a shop.test',
  ],
  [
    'te with more than trailers',
    get('TE: trailers, deflate;q=0.5', 'Connection: te'),
    { h1: 'GET /a shop.test', h2: 'GET /a shop.test\nte: trailers' },
  ],
  ['te: chunked', get('TE: chunked'), 'GET /a shop.test'],
  [
    'an offer of h2c',
    get('Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'),
    'GET /a shop.test',
  ],
  [
    'an offer of h2c that Connection names by half',
    get('Connection: Upgrade', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'),
    'GET /a shop.test',
  ],
  ['settings alone', get('HTTP2-Settings: AAMAAABkAAQAAP__'), 'GET /a shop.test'],
  [
    'an offer of h2c in a list',
    get('Connection: Upgrade', 'Upgrade: foo/1, h2c'),
    { h1: 'GET /a shop.test\nconnection: upgrade\nupgrade: foo/1', h2: '501 upstream.upgrade-unsupported' },
  ],
  [
    'an offer of h2c in front of a list',
    get('Connection: Upgrade', 'Upgrade: h2c, foo'),
    { h1: 'GET /a shop.test\nconnection: upgrade\nupgrade: foo', h2: '501 upstream.upgrade-unsupported' },
  ],
  ['an offer of h2c in upper case', get('Connection: upgrade', 'Upgrade: H2C'), 'GET /a shop.test'],
  ['an offer of h2c with a comma', get('Connection: upgrade', 'Upgrade: ,h2c,'), 'GET /a shop.test'],
  ['an offer of h2c in two lines', get('Connection: upgrade', 'Upgrade: h2c', 'Upgrade: h2c'), 'GET /a shop.test'],
  ['an offer of h2c with a version', get('Connection: upgrade', 'Upgrade: h2c/2'), 'GET /a shop.test'],
  ['an offer of HTTP/2.0', get('Connection: upgrade', 'Upgrade: HTTP/2.0'), 'GET /a shop.test'],
  ['an offer of TLS', get('Connection: upgrade', 'Upgrade: TLS/1.2, HTTP/1.1'), 'GET /a shop.test'],
  ['an offer that is no protocol', get('Connection: upgrade', 'Upgrade: h2c foo'), 'GET /a shop.test'],
  ['an offer that Connection does not name', get('Upgrade: foo'), 'GET /a shop.test'],
  ['an offer of HTTP/1.0', line('GET /a HTTP/1.0', 'Connection: upgrade', 'Upgrade: foo'), 'GET /a shop.test'],
  [
    'what only proxies of ours may say',
    get(
      'X-Forwarded-For: 6.6.6.6',
      'Forwarded: for=6.6.6.6',
      'X-Forwarded-Host: evil.test',
      'X-Forwarded-Prefix: /x',
      'Client-Cert: :AA==:',
      'X_Forwarded_Client_Cert: y',
    ),
    'GET /a shop.test',
  ],
];

const LENGTHS: readonly Row[] = [
  ['a length that is true', post(['Content-Length: 5'], 'hello'), 'POST /a shop.test\n\nhello'],
  ['a length that is longer than the body', { unfinished: post(['Content-Length: 50'], 'hello') }, 'closed'],
  [
    'a length that is shorter than the body',
    post(['Content-Length: 5'], `hello${SECOND}`),
    '200 + 200\nPOST /a shop.test\n\nhello\nGET /smuggled shop.test',
  ],
  ['two lengths', post(['Content-Length: 5', 'Content-Length: 6'], 'hello!'), '400 request.ambiguous-length'],
  ['two equal lengths', post(['Content-Length: 5', 'Content-Length: 5'], 'hello'), '400 request.ambiguous-length'],
  ['a length with a sign', post(['Content-Length: +5'], 'hello'), '400 request.ambiguous-length'],
  ['a length in hexadecimal', post(['Content-Length: 0x5'], 'hello'), '400 request.ambiguous-length'],
  ['a list of lengths', post(['Content-Length: 5, 5'], 'hello'), '400 request.ambiguous-length'],
  ['an empty length', post(['Content-Length:'], 'hello'), '400 request.ambiguous-length'],
  ['a length of 2^63', post(['Content-Length: 9223372036854775808'], 'hello'), '400 request.ambiguous-length'],
  ['a length with zeros in front', post(['Content-Length: 005'], 'hello'), 'POST /a shop.test\n\nhello'],
  [
    'a length and chunks',
    post(['Content-Length: 5', 'Transfer-Encoding: chunked'], `0\r\n\r\n${SECOND}`),
    '400 request.ambiguous-length',
  ],
  [
    'chunks and a length',
    post(['Transfer-Encoding: chunked', 'Content-Length: 5'], `0\r\n\r\n${SECOND}`),
    '400 request.ambiguous-length',
  ],
  ['chunks', chunked(), 'POST /a shop.test\n\nhello'],
  ['chunks in upper case', post(['Transfer-Encoding: CHUNKED'], '0\r\n\r\n'), 'POST /a shop.test'],
  ['chunks in quotes', post(['Transfer-Encoding: "chunked"'], '0\r\n\r\n'), '400 request.ambiguous-length'],
  ['chunks in a list', post(['Transfer-Encoding: identity, chunked'], '0\r\n\r\n'), '400 request.ambiguous-length'],
  [
    'chunks twice',
    post(['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], '0\r\n\r\n'),
    '400 request.ambiguous-length',
  ],
  ['chunks behind a vertical tab', post(['Transfer-Encoding: \vchunked'], '0\r\n\r\n'), '400 request.malformed'],
  ['chunks with a semicolon', post(['Transfer-Encoding: chunked;q=1'], '0\r\n\r\n'), '400 request.ambiguous-length'],
  ['xchunked', post(['Transfer-Encoding: xchunked'], '0\r\n\r\n'), '400 request.ambiguous-length'],
  ['identity', post(['Transfer-Encoding: identity'], ''), '501 request.coding-unsupported'],
  ['an empty coding', post(['Transfer-Encoding:'], ''), '400 request.ambiguous-length'],
  [
    'chunks in HTTP/1.0',
    line('POST /a HTTP/1.0', 'Transfer-Encoding: chunked') + '0\r\n\r\n',
    '400 request.ambiguous-length',
  ],
  [
    'a chunk with an extension',
    post(['Transfer-Encoding: chunked'], '5;x=y\r\nhello\r\n0\r\n\r\n'),
    'POST /a shop.test\n\nhello',
  ],
  [
    'a chunk that is longer than it says',
    post(['Transfer-Encoding: chunked'], '4\r\nhello\r\n0\r\n\r\n'),
    '400 request.malformed',
  ],
  ['a chunk with a sign', post(['Transfer-Encoding: chunked'], '+5\r\nhello\r\n0\r\n\r\n'), '400 request.malformed'],
  [
    'a chunk of 2^64 + 5',
    post(['Transfer-Encoding: chunked'], '10000000000000005\r\nhello\r\n0\r\n\r\n'),
    '400 request.malformed',
  ],
  ['a chunk behind LF', post(['Transfer-Encoding: chunked'], '5\nhello\n0\n\n'), '400 request.malformed'],
  [
    'a body on GET',
    line('GET /a HTTP/1.1', `Content-Length: ${SECOND.length}`) + SECOND,
    `GET /a shop.test\n\n${SECOND}`,
  ],
  [
    'a body on HEAD',
    line('HEAD /a HTTP/1.1', `Content-Length: ${SECOND.length}`) + SECOND,
    `HEAD /a shop.test\n\n${SECOND}`,
  ],
  [
    'an expectation with a body',
    post(['Expect: 100-continue', 'Content-Length: 5'], 'hello'),
    'POST /a shop.test\n\nhello',
  ],
  ['an unknown expectation', get('Expect: x'), '417 request.expectation-failed'],
  [
    'two expectations',
    post(['Expect: 100-continue, x', 'Content-Length: 5'], 'hello'),
    '417 request.expectation-failed',
  ],
];

const TRAILERS: readonly Row[] = [
  ['a trailer', chunked('X-Sum: 1'), 'POST /a shop.test\n\nhello\n+ x-sum: 1'],
  ['a trailer of HTTP/2', chunked(':path: /b'), '400 request.malformed'],
  ['a trailer with LF', chunked('X-Sum: 1\nTransfer-Encoding: chunked'), '400 request.malformed'],
  ['content-length as a trailer', chunked('Content-Length: 5'), '400 request.malformed'],
  ['transfer-encoding as a trailer', chunked('Transfer-Encoding: chunked'), '400 request.malformed'],
  ['host as a trailer', chunked('Host: other.test'), '400 request.malformed'],
  [
    'connection as a trailer',
    chunked('Connection: x-sum', 'X-Sum: 1', 'X-Other: 1'),
    'POST /a shop.test\n\nhello\n+ x-other: 1',
  ],
  [
    'upgrade as a trailer',
    chunked('Connection: upgrade', 'Upgrade: h2c', 'HTTP2-Settings: AAMA'),
    'POST /a shop.test\n\nhello',
  ],
  [
    'te and expect as trailers',
    chunked('TE: trailers', 'Expect: 100-continue', 'X-Sum: 1'),
    'POST /a shop.test\n\nhello\n+ x-sum: 1',
  ],
  [
    'authorization and cookies as trailers',
    chunked('Authorization: Basic eDp5', 'Cookie: a=1', 'X-Sum: 1'),
    'POST /a shop.test\n\nhello\n+ x-sum: 1',
  ],
  [
    'who the client is as trailers',
    chunked('X-Forwarded-For: 6.6.6.6', 'X_Forwarded_Host: e', 'Forwarded: for=6.6.6.6', 'Client-Cert: y', 'X-Sum: 1'),
    'POST /a shop.test\n\nhello\n+ x-sum: 1',
  ],
];

const WEB_SOCKET = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'];
const KEY = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';

const HANDSHAKES: readonly Row[] = [
  [
    'a handshake that nobody takes',
    get(...WEB_SOCKET, KEY),
    {
      h1: 'GET /a shop.test\nsec-websocket-version: 13\nconnection: upgrade\nupgrade: websocket\nsec-websocket-key: (fresh)',
      h2: '101\nCONNECT /a shop.test\n:protocol: websocket\nsec-websocket-version: 13',
    },
  ],
  [
    'a handshake with an Accept',
    get(...WEB_SOCKET, KEY, 'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo='),
    {
      h1: 'GET /a shop.test\nsec-websocket-version: 13\nconnection: upgrade\nupgrade: websocket\nsec-websocket-key: (fresh)',
      h2: '101\nCONNECT /a shop.test\n:protocol: websocket\nsec-websocket-version: 13',
    },
  ],
  [
    'a handshake with a body',
    line('GET /a HTTP/1.1', ...WEB_SOCKET, KEY, `Content-Length: ${SECOND.length}`) + SECOND,
    '400 request.websocket-invalid',
  ],
  [
    'a handshake with chunks',
    line('GET /a HTTP/1.1', ...WEB_SOCKET, KEY, 'Transfer-Encoding: chunked') + '0\r\n\r\n',
    '400 request.websocket-invalid',
  ],
  ['a handshake by POST', line('POST /a HTTP/1.1', ...WEB_SOCKET, KEY), '400 request.websocket-invalid'],
  ['a handshake without a key', get(...WEB_SOCKET), '400 request.websocket-invalid'],
  ['a handshake with two keys', get(...WEB_SOCKET, KEY, KEY), '400 request.websocket-invalid'],
  ['a handshake with a key that is none', get(...WEB_SOCKET, 'Sec-WebSocket-Key: x'), '400 request.websocket-invalid'],
  [
    'a handshake of another version',
    get('Connection: upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 8', KEY),
    '426 request.websocket-version',
  ],
  [
    'a handshake beside h2c',
    get('Connection: upgrade', 'Upgrade: h2c, websocket', 'Sec-WebSocket-Version: 13', KEY),
    {
      h1: 'GET /a shop.test\nsec-websocket-version: 13\nconnection: upgrade\nupgrade: websocket\nsec-websocket-key: (fresh)',
      h2: '101\nCONNECT /a shop.test\n:protocol: websocket\nsec-websocket-version: 13',
    },
  ],
];

testAttempts(
  'h1',
  [...NAMES, ...VALUES, ...LINES, ...HOSTS, ...CONNECTION, ...LENGTHS, ...TRAILERS, ...HANDSHAKES],
  attemptH1,
);
