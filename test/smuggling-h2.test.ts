/**
 * Nothing is smuggled from HTTP/2 (RFC 9113 section 10.3): each attempt is sent as frames, and what comes of it must be
 * the same whatever the backend speaks: a refusal, or one request that says what was said. What a proxy of another make
 * would have turned into a second request would be seen at the backend, which writes down all that it reads.
 */
import { type AttemptRow, testAttempts } from './client/attempts.ts';
import { attemptH2, data, END_STREAM, type Fields, headers } from './client/raw-h2.ts';

type Row = AttemptRow<readonly Uint8Array[]>;

const PSEUDOS = { ':method': 'GET', ':scheme': 'http', ':authority': 'shop.test', ':path': '/a' };

/** A GET with these fields behind the usual ones. */
function withFields(...fields: Fields): Uint8Array[] {
  return [headers(1, [...Object.entries(PSEUDOS), ...fields], END_STREAM)];
}

/** A GET whose pseudo-headers are these; undefined takes one away. */
function withPseudos(changed: Record<string, string | undefined>, ...fields: Fields): Uint8Array[] {
  const pseudos = Object.entries({ ...PSEUDOS, ...changed }).filter(
    (field): field is [string, string] => field[1] !== undefined,
  );
  return [headers(1, [...pseudos, ...fields], END_STREAM)];
}

/** A GET with exactly these fields. */
function exactly(...fields: Fields): Uint8Array[] {
  return [headers(1, fields, END_STREAM)];
}

/** A POST with these fields, body and trailers. */
function post(fields: Fields, body: string, trailers?: Fields): Uint8Array[] {
  const head = headers(1, [...Object.entries({ ...PSEUDOS, ':method': 'POST' }), ...fields]);
  if (trailers === undefined) return [head, data(1, body, END_STREAM)];
  return [head, data(1, body), headers(1, trailers, END_STREAM)];
}

/** An extended CONNECT (RFC 8441 section 4). */
function connectFor(protocol: string, changed: Record<string, string | undefined> = {}, flags = 0): Uint8Array[] {
  const pseudos = { ...PSEUDOS, ':method': 'CONNECT', ':protocol': protocol, ...changed };
  const fields = Object.entries(pseudos).filter((field): field is [string, string] => field[1] !== undefined);
  return [headers(1, [...fields, ['sec-websocket-version', '13']], flags)];
}

const SECOND = 'GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n';
const MALFORMED = '400 request.malformed RST_STREAM PROTOCOL_ERROR';

const NAMES: readonly Row[] = [
  ['a name with CRLF and a second request', withFields([`x: 1\r\n\r\n${SECOND}y`, '1']), MALFORMED],
  ['a name with CR', withFields(['x\ry', '1']), MALFORMED],
  ['a name with LF', withFields(['x\ny', '1']), MALFORMED],
  ['a name with NUL', withFields(['x\0y', '1']), MALFORMED],
  ['a name with a colon', withFields(['x:y', '1']), MALFORMED],
  ['a name with a colon and a header behind it', withFields(['transfer-encoding: chunked\r\nx', '1']), MALFORMED],
  ['a name with a space', withFields(['x y', '1']), MALFORMED],
  ['a name that ends in a space', withFields(['transfer-encoding ', 'chunked']), MALFORMED],
  ['a name with a tab', withFields(['content-length\t', '5']), MALFORMED],
  ['a name in upper case', withFields(['X-Upper', '1']), MALFORMED],
  ['a framing name in upper case', withFields(['Transfer-Encoding', 'chunked']), MALFORMED],
  ['an empty name', withFields(['', '1']), MALFORMED],
  ['a name outside of ASCII', withFields(['x\xe9', '1']), MALFORMED],
  ['a name with DEL', withFields(['x\x7f', '1']), MALFORMED],
  [
    'a name with every sign of a token',
    withFields(["x!#$%&'*+-.^`|~0a", '1']),
    "GET /a shop.test\nx!#$%&'*+-.^`|~0a: 1",
  ],
  ['a name with an underscore', withFields(['content_length', '5']), 'GET /a shop.test\ncontent_length: 5'],
];

const VALUES: readonly Row[] = [
  ['a priority (RFC 9218)', withFields(['priority', 'u=1, i']), 'GET /a shop.test\npriority: u=1, i'],
  ['a value with CRLF and a second request', withFields(['x', `1\r\n\r\n${SECOND}`]), MALFORMED],
  ['a value with CRLF and a header', withFields(['x', '1\r\ntransfer-encoding: chunked']), MALFORMED],
  ['a value with CR', withFields(['x', '1\r2']), MALFORMED],
  ['a value with LF', withFields(['x', '1\n2']), MALFORMED],
  ['a value with NUL', withFields(['x', '1\x002']), MALFORMED],
  ['a value with DEL', withFields(['x', '1\x7f2']), MALFORMED],
  ['a value with ESC', withFields(['x', '1\x1b2']), MALFORMED],
  ['a value with a space in front', withFields(['x', ' 1']), MALFORMED],
  ['a value with a tab behind', withFields(['x', '1\t']), MALFORMED],
  ['a value that is a space', withFields(['x', ' ']), MALFORMED],
  ['an empty value', withFields(['x', '']), 'GET /a shop.test\nx: '],
  ['a value with blanks inside', withFields(['x', '1 \t 2']), 'GET /a shop.test\nx: 1 	 2'],
  ['a value outside of ASCII', withFields(['x', 'caf\xe9']), 'GET /a shop.test\nx: café'],
  ['a cookie with CRLF in one crumb', withFields(['cookie', 'a=1'], ['cookie', 'b=2\r\nx: 1']), MALFORMED],
  [
    'cookies in crumbs',
    withFields(['cookie', 'a=1'], ['x', '1'], ['cookie', 'b=2']),
    'GET /a shop.test\nx: 1\ncookie: a=1; b=2',
  ],
  ['a value of the table of the wrong kind', withFields(['accept-encoding', 'gzip\r\nx: 1']), MALFORMED],
];

const PSEUDO: readonly Row[] = [
  ['a path with a space', withPseudos({ ':path': '/a HTTP/1.1' }), MALFORMED],
  [
    'a path with CRLF and a second request',
    withPseudos({ ':path': `/a HTTP/1.1\r\nHost: x\r\n\r\n${SECOND}` }),
    MALFORMED,
  ],
  ['a path with LF', withPseudos({ ':path': '/a\n' }), MALFORMED],
  ['a path with NUL', withPseudos({ ':path': '/a\0' }), MALFORMED],
  ['a path with escaped CRLF stays escaped', withPseudos({ ':path': '/a%0d%0a' }), 'GET /a%0D%0A shop.test'],
  ['a path with a query', withPseudos({ ':path': '/a?x=1&y=/../?' }), 'GET /a?x=1&y=/../? shop.test'],
  ['a path with a fragment', withPseudos({ ':path': '/a#b' }), '400 request.malformed'],
  ['a path with a fragment in its query', withPseudos({ ':path': '/a?b#c' }), '400 request.malformed'],
  ['an empty path', withPseudos({ ':path': '' }), MALFORMED],
  ['a path that is a query', withPseudos({ ':path': '?x=1' }), MALFORMED],
  ['an asterisk without OPTIONS', withPseudos({ ':path': '*' }), MALFORMED],
  ['an asterisk with OPTIONS', withPseudos({ ':path': '*', ':method': 'OPTIONS' }), '404 route.none'],
  ['an absolute URI', withPseudos({ ':path': 'http://other.test/a' }), MALFORMED],
  ['a path without a slash', withPseudos({ ':path': 'a' }), MALFORMED],
  ['a path with an at sign for a host', withPseudos({ ':path': '@other.test/a' }), MALFORMED],
  ['a path with a backslash', withPseudos({ ':path': '/a\\..\\b' }), '400 request.path-invalid'],
  ['a path that begins with two slashes', withPseudos({ ':path': '//other.test/a' }), 'GET //other.test/a shop.test'],
  ['a path that climbs', withPseudos({ ':path': '/../../a' }), '400 request.path-invalid'],
  ['a path outside of ASCII', withPseudos({ ':path': '/\xe9' }), MALFORMED],
  ['a method with a space', withPseudos({ ':method': 'GET /x' }), MALFORMED],
  ['a method that is a request', withPseudos({ ':method': `GET /x HTTP/1.1\r\nHost: x\r\n\r\nGET` }), MALFORMED],
  ['a method with CRLF', withPseudos({ ':method': 'GET\r\n' }), MALFORMED],
  ['an empty method', withPseudos({ ':method': '' }), MALFORMED],
  ['a method in lower case is another method', withPseudos({ ':method': 'get' }), 'get /a shop.test'],
  ['a method of the preface', withPseudos({ ':method': 'PRI', ':path': '*' }), MALFORMED],
  ['CONNECT', exactly([':method', 'CONNECT'], [':authority', 'shop.test:80']), '405 request.connect-refused'],
  ['CONNECT with a path', withPseudos({ ':method': 'CONNECT' }), MALFORMED],
  ['an authority with a user', withPseudos({ ':authority': 'user@shop.test' }), '400 request.host-invalid'],
  ['an authority with CRLF', withPseudos({ ':authority': 'shop.test\r\nx: 1' }), MALFORMED],
  ['an authority with a space', withPseudos({ ':authority': 'shop.test x' }), MALFORMED],
  ['an authority with a path', withPseudos({ ':authority': 'shop.test/x' }), '400 request.host-invalid'],
  ['an authority with a comma', withPseudos({ ':authority': 'shop.test,other.test' }), '400 request.host-invalid'],
  ['an authority with junk for a port', withPseudos({ ':authority': 'shop.test:80x' }), '400 request.host-invalid'],
  ['an authority with two ports', withPseudos({ ':authority': 'shop.test:80:81' }), '400 request.host-invalid'],
  ['an authority with a port past 65535', withPseudos({ ':authority': 'shop.test:65536' }), '400 request.host-invalid'],
  ['an authority with a port', withPseudos({ ':authority': 'shop.test:8080' }), 'GET /a shop.test:8080'],
  ['an empty authority', withPseudos({ ':authority': '' }), '400 request.host-invalid'],
  ['an empty authority beside a host', withPseudos({ ':authority': '' }, ['host', 'shop.test']), MALFORMED],
  ['no authority and no host', withPseudos({ ':authority': undefined }), '400 request.host-invalid'],
  ['a host alone', withPseudos({ ':authority': undefined }, ['host', 'shop.test']), 'GET /a shop.test'],
  [
    'a host that is no host',
    withPseudos({ ':authority': undefined }, ['host', 'shop.test@x']),
    '400 request.host-invalid',
  ],
  ['a host beside the same authority', withFields(['host', 'shop.test']), 'GET /a shop.test'],
  ['a host beside another authority', withFields(['host', 'other.test']), MALFORMED],
  ['a host with the port of the scheme beside an authority without', withFields(['host', 'shop.test:80']), MALFORMED],
  ['two hosts', withFields(['host', 'shop.test'], ['host', 'shop.test']), MALFORMED],
  ['two authorities', exactly(...Object.entries(PSEUDOS), [':authority', 'other.test']), MALFORMED],
  ['two equal paths', exactly(...Object.entries(PSEUDOS), [':path', '/a']), MALFORMED],
  ['two methods', exactly([':method', 'POST'], ...Object.entries(PSEUDOS)), MALFORMED],
  ['a scheme of another world', withPseudos({ ':scheme': 'javascript' }), MALFORMED],
  ['a scheme with CRLF', withPseudos({ ':scheme': 'http\r\nx: 1' }), MALFORMED],
  ['a scheme that is a URI', withPseudos({ ':scheme': 'http://other.test/?' }), MALFORMED],
  ['an empty scheme', withPseudos({ ':scheme': '' }), MALFORMED],
  ['no scheme', withPseudos({ ':scheme': undefined }), MALFORMED],
  ['no method', withPseudos({ ':method': undefined }), MALFORMED],
  ['no path', withPseudos({ ':path': undefined }), MALFORMED],
  [
    'a pseudo-header behind a regular field',
    exactly([':method', 'GET'], [':scheme', 'http'], ['x', '1'], [':authority', 'shop.test'], [':path', '/a']),
    MALFORMED,
  ],
  ['an unknown pseudo-header', withPseudos({ ':version': '1.1' }), MALFORMED],
  ['a pseudo-header of answers', withPseudos({ ':status': '200' }), MALFORMED],
  ['a pseudo-header that is a header', withPseudos({ ':host': 'shop.test' }), MALFORMED],
  ['a lone colon', withPseudos({ ':': 'x' }), MALFORMED],
  ['a protocol without CONNECT', withPseudos({ ':protocol': 'websocket' }), MALFORMED],
  ['nothing at all', exactly(), MALFORMED],
];

const CONNECTION: readonly Row[] = [
  ['transfer-encoding: chunked', post([['transfer-encoding', 'chunked']], `0\r\n\r\n${SECOND}`), MALFORMED],
  ['transfer-encoding: identity', withFields(['transfer-encoding', 'identity']), MALFORMED],
  ['transfer-encoding with a tab', withFields(['transfer-encoding', '\tchunked']), MALFORMED],
  ['transfer-encoding, empty', withFields(['transfer-encoding', '']), MALFORMED],
  ['connection: close', withFields(['connection', 'close']), MALFORMED],
  ['connection that names a field', withFields(['connection', 'x'], ['x', '1']), MALFORMED],
  ['keep-alive', withFields(['keep-alive', 'timeout=5']), MALFORMED],
  ['proxy-connection', withFields(['proxy-connection', 'keep-alive']), MALFORMED],
  ['upgrade: h2c', withFields(['upgrade', 'h2c']), MALFORMED],
  ['upgrade: websocket', withFields(['upgrade', 'websocket'], ['sec-websocket-version', '13']), MALFORMED],
  [
    'a length of nothing before its end',
    [
      headers(1, [...Object.entries({ ...PSEUDOS, ':method': 'POST' }), ['content-length', '0']]),
      data(1, '', END_STREAM),
    ],
    'POST /a shop.test',
  ],
  ['the protocol HTTP/2.0', connectFor('HTTP/2.0'), MALFORMED],
  ['the protocol H2C', connectFor('H2C'), MALFORMED],
  ['http2-settings', withFields(['http2-settings', 'AAMAAABkAAQAAP__']), MALFORMED],
  ['te: trailers', withFields(['te', 'trailers']), { h1: 'GET /a shop.test', h2: 'GET /a shop.test\nte: trailers' }],
  ['te: chunked', withFields(['te', 'chunked']), MALFORMED],
  ['te: trailers and more', withFields(['te', 'trailers, deflate;q=0.5']), MALFORMED],
  [
    'an expectation',
    post(
      [
        ['expect', '100-continue'],
        ['content-length', '1'],
      ],
      'x',
    ),
    'POST /a shop.test\n\nx',
  ],
  ['an unknown expectation', withFields(['expect', '200-ok']), '417 request.expectation-failed'],
  [
    'what only proxies of ours may say',
    withFields(
      ['x-forwarded-for', '6.6.6.6'],
      ['forwarded', 'for=6.6.6.6'],
      ['x-forwarded-host', 'evil.test'],
      ['x-forwarded-prefix', '/x'],
    ),
    'GET /a shop.test',
  ],
  [
    'names of a client certificate',
    withFields(
      ['client-cert', ':AA==:'],
      ['client-cert-chain', ':AA==:'],
      ['x-forwarded-client-cert', 'Hash=00'],
      ['client_cert', ':AA==:'],
      ['x_forwarded_client_cert', 'y'],
    ),
    'GET /a shop.test',
  ],
];

const LENGTHS: readonly Row[] = [
  ['a length that is true', post([['content-length', '5']], 'hello'), 'POST /a shop.test\n\nhello'],
  ['no length', post([], 'hello'), 'POST /a shop.test\n\nhello'],
  ['a length that is longer than the body', post([['content-length', '6']], 'hello'), MALFORMED],
  ['a length that is shorter than the body', post([['content-length', '0']], SECOND), MALFORMED],
  ['a length that cuts the body', post([['content-length', '3']], 'abcGET /smuggled HTTP/1.1\r\n'), MALFORMED],
  ['a length without a body', withFields(['content-length', '5']), MALFORMED],
  ['a length of nothing without a body', withFields(['content-length', '0']), 'GET /a shop.test'],
  [
    'two lengths',
    post(
      [
        ['content-length', '5'],
        ['content-length', '6'],
      ],
      'hello',
    ),
    MALFORMED,
  ],
  [
    'two equal lengths',
    post(
      [
        ['content-length', '5'],
        ['content-length', '5'],
      ],
      'hello',
    ),
    MALFORMED,
  ],
  ['a length with a sign', post([['content-length', '+5']], 'hello'), MALFORMED],
  ['a negative length', post([['content-length', '-5']], 'hello'), MALFORMED],
  ['a length in hexadecimal', post([['content-length', '0x5']], 'hello'), MALFORMED],
  ['a length with a point', post([['content-length', '5.0']], 'hello'), MALFORMED],
  ['a length with a blank', post([['content-length', '5 ']], 'hello'), MALFORMED],
  ['a list of lengths', post([['content-length', '5, 5']], 'hello'), MALFORMED],
  ['an empty length', post([['content-length', '']], 'hello'), MALFORMED],
  ['a length of 2^63', post([['content-length', '9223372036854775808']], 'hello'), MALFORMED],
  ['a length of 2^64 + 5', post([['content-length', '18446744073709551621']], 'hello'), MALFORMED],
  ['a length with zeros in front', post([['content-length', '005']], 'hello'), 'POST /a shop.test\n\nhello'],
  ['a body that looks like chunks', post([], `0\r\n\r\n${SECOND}`), `POST /a shop.test\n\n0\r\n\r\n${SECOND}`],
  [
    'a body on GET',
    [headers(1, Object.entries(PSEUDOS)), data(1, SECOND, END_STREAM)],
    `GET /a shop.test\n\n${SECOND}`,
  ],
  [
    'a body on HEAD',
    [headers(1, Object.entries({ ...PSEUDOS, ':method': 'HEAD' })), data(1, SECOND, END_STREAM)],
    `HEAD /a shop.test\n\n${SECOND}`,
  ],
];

const TRAILERS: readonly Row[] = [
  ['a trailer', post([], 'hello', [['x-sum', '1']]), 'POST /a shop.test\n\nhello\n+ x-sum: 1'],
  [
    'a trailer of a body with a length',
    post([['content-length', '5']], 'hello', [['x-sum', '1']]),
    { h1: 'POST /a shop.test\n\nhello', h2: 'POST /a shop.test\n\nhello\n+ x-sum: 1' },
  ],
  ['a trailer with CRLF', post([], 'hello', [['x-sum', `1\r\n\r\n${SECOND}`]]), MALFORMED],
  ['a trailer name with CRLF', post([], 'hello', [[`x: 1\r\n\r\n${SECOND}x`, '1']]), MALFORMED],
  ['a trailer in upper case', post([], 'hello', [['X-Sum', '1']]), MALFORMED],
  ['a pseudo-header as a trailer', post([], 'hello', [[':path', '/b']]), MALFORMED],
  ['content-length as a trailer', post([], 'hello', [['content-length', '5']]), MALFORMED],
  ['transfer-encoding as a trailer', post([], 'hello', [['transfer-encoding', 'chunked']]), MALFORMED],
  ['host as a trailer', post([], 'hello', [['host', 'other.test']]), MALFORMED],
  ['connection as a trailer', post([], 'hello', [['connection', 'close']]), MALFORMED],
  [
    'te as a trailer',
    post([], 'hello', [
      ['te', 'trailers'],
      ['x-sum', '1'],
    ]),
    'POST /a shop.test\n\nhello\n+ x-sum: 1',
  ],
  [
    'expect as a trailer',
    post([], 'hello', [
      ['expect', '100-continue'],
      ['x-sum', '1'],
    ]),
    'POST /a shop.test\n\nhello\n+ x-sum: 1',
  ],
  [
    'authorization as a trailer',
    post([], 'hello', [
      ['authorization', 'Basic eDp5'],
      ['x-sum', '1'],
    ]),
    'POST /a shop.test\n\nhello\n+ x-sum: 1',
  ],
  [
    'cookie as a trailer',
    post([], 'hello', [
      ['cookie', 'a=1'],
      ['x-sum', '1'],
    ]),
    'POST /a shop.test\n\nhello\n+ x-sum: 1',
  ],
  [
    'an address of a client as a trailer',
    post([], 'hello', [
      ['x-forwarded-for', '6.6.6.6'],
      ['forwarded', 'for=6.6.6.6'],
      ['x-sum', '1'],
    ]),
    'POST /a shop.test\n\nhello\n+ x-sum: 1',
  ],
  [
    'a certificate as a trailer',
    post([], 'hello', [
      ['client-cert', ':AA==:'],
      ['x_forwarded_client_cert', 'y'],
      ['x-sum', '1'],
    ]),
    'POST /a shop.test\n\nhello\n+ x-sum: 1',
  ],
  ['trailers that do not end the stream', [...post([], 'hello').slice(0, 1), headers(1, [['x-sum', '1']])], MALFORMED],
];

const CONNECTS: readonly Row[] = [
  [
    'another protocol',
    connectFor('connect-udp'),
    {
      h1: '502\nGET /a shop.test\nsec-websocket-version: 13\nconnection: upgrade\nupgrade: connect-udp',
      h2: '501 upstream.upgrade-unsupported',
    },
  ],
  ['a protocol that is a list', connectFor('websocket, h2c'), MALFORMED],
  ['a protocol with CRLF', connectFor('websocket\r\nx: 1'), MALFORMED],
  ['a protocol with a space', connectFor('websocket x'), MALFORMED],
  ['an empty protocol', connectFor(''), MALFORMED],
  ['the protocol h2c', connectFor('h2c'), MALFORMED],
  [
    'a WebSocket that has ended',
    connectFor('websocket', {}, END_STREAM),
    {
      h1: '502\nGET /a shop.test\nsec-websocket-version: 13\nconnection: upgrade\nupgrade: websocket\nsec-websocket-key: (fresh)',
      h2: 'CONNECT /a shop.test\n:protocol: websocket\nsec-websocket-version: 13',
    },
  ],
  [
    'a WebSocket with a proof of its own',
    [
      headers(
        1,
        [
          ...Object.entries({ ...PSEUDOS, ':method': 'CONNECT', ':protocol': 'websocket' }),
          ['sec-websocket-version', '13'],
          ['sec-websocket-key', 'dGhlIHNhbXBsZSBub25jZQ=='],
          ['sec-websocket-key', 'x'],
          ['sec-websocket-accept', 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='],
        ],
        END_STREAM,
      ),
    ],
    {
      h1: '502\nGET /a shop.test\nsec-websocket-version: 13\nconnection: upgrade\nupgrade: websocket\nsec-websocket-key: (fresh)',
      h2: 'CONNECT /a shop.test\n:protocol: websocket\nsec-websocket-version: 13',
    },
  ],
  ['a WebSocket without a scheme', connectFor('websocket', { ':scheme': undefined }), MALFORMED],
  ['a WebSocket without a path', connectFor('websocket', { ':path': undefined }), MALFORMED],
  [
    'a WebSocket without an authority',
    connectFor('websocket', { ':authority': undefined }),
    '400 request.host-invalid',
  ],
  ['a WebSocket with a path that is none', connectFor('websocket', { ':path': 'shop.test:80' }), MALFORMED],
  [
    'a protocol twice',
    [
      headers(1, [
        ...Object.entries({ ...PSEUDOS, ':method': 'CONNECT', ':protocol': 'websocket' }),
        [':protocol', 'x'],
      ]),
    ],
    MALFORMED,
  ],
];

testAttempts('h2', [...NAMES, ...VALUES, ...PSEUDO, ...CONNECTION, ...LENGTHS, ...TRAILERS, ...CONNECTS], attemptH2);
