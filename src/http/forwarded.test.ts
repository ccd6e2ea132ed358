import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TrustedHops } from '../base/trusted-hops.ts';
import { type Client, Forwarding } from './forwarded.ts';
import { Headers } from './headers.ts';
import type { RequestHead } from './message.ts';
import { SEEN_FORWARDED } from './seen.ts';

const NOBODY: TrustedHops = { count: 0, cidrs: [] };
const ANY: TrustedHops = { count: 1, cidrs: [] };
const TWO: TrustedHops = { count: 2, cidrs: [] };
const TEN: TrustedHops = { count: 1, cidrs: ['10.0.0.0/8', 'fd00::/8'] };
const TEN_TWICE: TrustedHops = { count: 2, cidrs: ['10.0.0.0/8'] };

type Fields = [name: string, value: string][];

function requestOf(fields: Fields, authority = 'shop.test'): RequestHead {
  return {
    method: 'GET',
    scheme: 'http',
    authority,
    host: authority,
    path: '/',
    query: '',
    headers: Headers.of(fields),
    bodyLength: 0,
    upgrade: undefined,
    expectContinue: false,
  };
}

function read(hops: TrustedHops, peerIp: string, fields: Fields): Client & { left: string } {
  const forwarding = new Forwarding({ trustedHops: hops, publicPort: 8080, standard: 'write', certificate: 'none' });
  const request = requestOf(fields);
  const client = forwarding.read(request, { peerIp, scheme: 'http', seen: SEEN_FORWARDED });
  return { ...client, left: request.headers.toLines() };
}

const xff = (value: string): Fields => [['X-Forwarded-For', value]];

// Who is the client, and the list that goes upstream.
const CLIENTS: [rule: string, hops: TrustedHops, peer: string, fields: Fields, ip: string, list: string][] = [
  ['nobody is trusted', NOBODY, '10.0.0.1', xff('1.1.1.1'), '10.0.0.1', '10.0.0.1'],
  ['nothing is said', TEN, '10.0.0.1', [], '10.0.0.1', '10.0.0.1'],
  ['a trusted peer names the client', TEN, '10.0.0.1', xff('1.1.1.1'), '1.1.1.1', '1.1.1.1, 10.0.0.1'],
  ['a peer that is not trusted lies', TEN, '2.2.2.2', xff('1.1.1.1'), '2.2.2.2', '2.2.2.2'],
  ['any peer is trusted without networks', ANY, '2.2.2.2', xff('1.1.1.1'), '1.1.1.1', '1.1.1.1, 2.2.2.2'],
  ['what the client wrote is dropped', TEN, '10.0.0.1', xff('6.6.6.6, 1.1.1.1'), '1.1.1.1', '1.1.1.1, 10.0.0.1'],
  ['two hops', TWO, '10.0.0.1', xff('6.6.6.6, 1.1.1.1, 10.0.0.2'), '1.1.1.1', '1.1.1.1, 10.0.0.2, 10.0.0.1'],
  ['two hops, one missing', TWO, '10.0.0.1', xff('1.1.1.1'), '1.1.1.1', '1.1.1.1, 10.0.0.1'],
  [
    'a client that goes around the first hop cannot pass for one',
    TEN_TWICE,
    '10.0.0.1',
    xff('6.6.6.6, 1.1.1.1'),
    '1.1.1.1',
    '1.1.1.1, 10.0.0.1',
  ],
  [
    'hops beyond the count are not believed',
    TEN,
    '10.0.0.1',
    xff('1.1.1.1, 10.0.0.2'),
    '10.0.0.2',
    '10.0.0.2, 10.0.0.1',
  ],
  [
    'several lines are one list',
    TWO,
    '10.0.0.1',
    [...xff('1.1.1.1'), ...xff('10.0.0.2')],
    '1.1.1.1',
    '1.1.1.1, 10.0.0.2, 10.0.0.1',
  ],
  ['an empty list', TEN, '10.0.0.1', xff(''), '10.0.0.1', '10.0.0.1'],
  ['an empty item ends the walk', TWO, '10.0.0.1', xff('1.1.1.1,,10.0.0.2'), '10.0.0.2', '10.0.0.2, 10.0.0.1'],
  ['a comma alone', TWO, '10.0.0.1', xff(','), '10.0.0.1', '10.0.0.1'],
  ['an item that is no address ends the walk', TWO, '10.0.0.1', xff('1.1.1.1, unknown'), '10.0.0.1', '10.0.0.1'],
  ['a name is no address', TEN, '10.0.0.1', xff('localhost'), '10.0.0.1', '10.0.0.1'],
  ['markup is no address', TEN, '10.0.0.1', xff('<script>'), '10.0.0.1', '10.0.0.1'],
  ['a zone is no address', TEN, '10.0.0.1', xff('fe80::1%eth0'), '10.0.0.1', '10.0.0.1'],
  ['octal is no address', TEN, '10.0.0.1', xff('010.0.0.1'), '10.0.0.1', '10.0.0.1'],
  ['IPv4 in brackets is no address', TEN, '10.0.0.1', xff('[1.1.1.1]'), '10.0.0.1', '10.0.0.1'],
  ['an address with a port', TEN, '10.0.0.1', xff('1.1.1.1:5050'), '1.1.1.1', '1.1.1.1, 10.0.0.1'],
  ['IPv6', TEN, 'fd00::1', xff('2001:DB8::1'), '2001:db8::1', '2001:db8::1, fd00::1'],
  ['IPv6 in brackets', TEN, '10.0.0.1', xff('[2001:db8::1]'), '2001:db8::1', '2001:db8::1, 10.0.0.1'],
  ['IPv6 with a port', TEN, '10.0.0.1', xff('[2001:db8::1]:80'), '2001:db8::1', '2001:db8::1, 10.0.0.1'],
  ['a mapped peer is IPv4', TEN, '::ffff:10.0.0.1', xff('1.1.1.1'), '1.1.1.1', '1.1.1.1, 10.0.0.1'],
  ['a mapped client is IPv4', TEN, '10.0.0.1', xff('::ffff:1.1.1.1'), '1.1.1.1', '1.1.1.1, 10.0.0.1'],
  ['a peer without an address', NOBODY, '', xff('1.1.1.1'), '', ''],
  [
    'a very long list',
    TWO,
    '10.0.0.1',
    xff(`${'9.9.9.9,'.repeat(3_000)}1.1.1.1,10.0.0.2`),
    '1.1.1.1',
    '1.1.1.1, 10.0.0.2, 10.0.0.1',
  ],
  ['a very long item', TEN, '10.0.0.1', xff('1'.repeat(30_000)), '10.0.0.1', '10.0.0.1'],
];

for (const [rule, hops, peer, fields, ip, list] of CLIENTS) {
  test(`Forwarding: ${rule}`, () => {
    const got = read(hops, peer, fields);
    assert.equal(got.ip, ip);
    assert.match(got.lines, new RegExp(`^x-forwarded-for: ${list.replaceAll('.', '\\.')}\r\n`));
    assert.equal(got.left, '');
  });
}

const standard = (value: string): Fields => [['Forwarded', value]];

// RFC 7239, where there is no X-Forwarded-For: the client, and what it asked for.
const STANDARD: [rule: string, hops: TrustedHops, value: string, ip: string, asked: string][] = [
  ['one element', TEN, 'for=1.1.1.1', '1.1.1.1', 'http shop.test 8080'],
  ['with all there is', TEN, 'for=1.1.1.1;proto=https;by=_x;host=a.test', '1.1.1.1', 'https a.test 443'],
  ['names in any case', TEN, 'For=1.1.1.1; Proto=HTTPS', '1.1.1.1', 'https shop.test 443'],
  ['IPv6 with a port', TEN, 'for="[2001:db8::1]:4711"', '2001:db8::1', 'http shop.test 8080'],
  ['escapes in quotes', TEN, 'for="1.1.1.\\1"', '1.1.1.1', 'http shop.test 8080'],
  ['the last element counts', TEN, 'for=6.6.6.6;proto=https, for=1.1.1.1', '1.1.1.1', 'http shop.test 8080'],
  ['two hops', TWO, 'for=6.6.6.6, for=1.1.1.1;host=a.test;proto=https, for=10.0.0.2', '1.1.1.1', 'https a.test 443'],
  ['a comma in quotes separates nothing', TWO, 'for="1.1.1.1, for=2.2.2.2"', '10.0.0.1', 'http shop.test 8080'],
  ['a host with a port', TEN, 'for=1.1.1.1;host="a.test:81";proto=http', '1.1.1.1', 'http a.test:81 81'],
  ['a host that is none', TEN, 'for=1.1.1.1;host="a b"', '1.1.1.1', 'http shop.test 8080'],
  ['an unknown client', TEN, 'for=unknown;proto=https', '10.0.0.1', 'http shop.test 8080'],
  ['a hidden client', TEN, 'for=_hidden', '10.0.0.1', 'http shop.test 8080'],
  ['an element without for', TEN, 'proto=https', '10.0.0.1', 'http shop.test 8080'],
  ['a name twice', TEN, 'for=1.1.1.1;for=2.2.2.2', '10.0.0.1', 'http shop.test 8080'],
  ['an open quote', TEN, 'for="1.1.1.1', '10.0.0.1', 'http shop.test 8080'],
  ['a comma at the end', TEN, 'for=1.1.1.1,', '10.0.0.1', 'http shop.test 8080'],
  ['a space in a value', TEN, 'for=1.1. 1.1', '10.0.0.1', 'http shop.test 8080'],
  ['no value', TEN, 'for=', '10.0.0.1', 'http shop.test 8080'],
  ['nobody is trusted', NOBODY, 'for=1.1.1.1', '10.0.0.1', 'http shop.test 8080'],
  ['a very long list', TEN, `${'for=9.9.9.9,'.repeat(2_000)}for=1.1.1.1`, '1.1.1.1', 'http shop.test 8080'],
];

function askedOf(lines: string): string {
  const valueOf = (name: string): string => new RegExp(`${name}: (.*)\r\n`).exec(lines)?.[1] ?? '-';
  return ['x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-port'].map(valueOf).join(' ');
}

for (const [rule, hops, value, ip, asked] of STANDARD) {
  test(`Forwarding, RFC 7239: ${rule}`, () => {
    const got = read(hops, '10.0.0.1', standard(value));
    assert.equal(got.ip, ip);
    assert.equal(askedOf(got.lines), asked);
    assert.equal(got.left, '');
  });
}

const ASKED: [rule: string, hops: TrustedHops, fields: Record<string, string>, want: string][] = [
  ['a trusted peer says', TEN, { proto: 'https', host: 'a.test', port: '444' }, 'https a.test 444'],
  ['a scheme brings its port', TEN, { proto: 'https' }, 'https shop.test 443'],
  ['a host brings its port', TEN, { proto: 'https', host: 'a.test:444' }, 'https a.test:444 444'],
  ['a scheme in any case', TEN, { proto: 'HTTPS' }, 'https shop.test 443'],
  ['a scheme that is none', TEN, { proto: 'ftp' }, 'http shop.test 8080'],
  ['a list of schemes', TEN, { proto: 'https, http' }, 'http shop.test 8080'],
  ['a host that is none', TEN, { host: 'a.test, b.test' }, 'http shop.test 8080'],
  ['a host with a user', TEN, { host: 'a@b.test' }, 'http shop.test 8080'],
  ['a port that is none', TEN, { port: '70000' }, 'http shop.test 8080'],
  ['a port with a sign', TEN, { port: '+1' }, 'http shop.test 8080'],
  ['a peer that is not trusted', NOBODY, { proto: 'https', host: 'a.test', port: '444' }, 'http shop.test 8080'],
];

for (const [rule, hops, said, want] of ASKED) {
  test(`Forwarding: what the client asked for: ${rule}`, () => {
    const fields = Object.entries(said).map(([name, value]): [string, string] => [`X-Forwarded-${name}`, value]);
    const got = read(hops, '10.0.0.1', fields);
    assert.equal(askedOf(got.lines), want);
    assert.equal(got.left, '');
  });
}

const LINES: [rule: string, hops: TrustedHops, fields: Fields, want: string][] = [
  ['of a client', NOBODY, [], 'for=10.0.0.1;host=shop.test;proto=http'],
  ['of a chain', TEN, xff('2001:db8::1'), 'for="[2001:db8::1]";host=shop.test;proto=http, for=10.0.0.1'],
  [
    'of both',
    TEN,
    [...xff('1.1.1.1'), ...standard('for=6.6.6.6')],
    'for=1.1.1.1;host=shop.test;proto=http, for=10.0.0.1',
  ],
  ['of a host with a port', TEN, [['x-forwarded-host', 'a.test:1']], 'for=10.0.0.1;host="a.test:1";proto=http'],
];

for (const [rule, hops, fields, want] of LINES) {
  test(`Forwarding: the Forwarded line ${rule}`, () => {
    assert.equal(/forwarded: (for=.*)\r\n$/.exec(read(hops, '10.0.0.1', fields).lines)?.[1], want);
  });
}

const TOLD: [rule: string, hops: TrustedHops, fields: Fields, told: string][] = [
  ['nothing is said', TEN, xff('1.1.1.1'), ''],
  ['what is seen here is said', TEN, [['X-Forwarded-Port', '8080']], ''],
  ['a client says something', NOBODY, [['X-Forwarded-Proto', 'https']], ''],
  ['a hop says https', TEN, [['X-Forwarded-Proto', 'https']], 'https shop.test 443'],
  ['a hop names another host', TEN, [['X-Forwarded-Host', 'a.test']], 'http a.test 8080'],
  ['a hop names another port', TEN, [['X-Forwarded-Port', '444']], 'http shop.test 444'],
  ['by RFC 7239', TEN, [['Forwarded', 'for=1.1.1.1;host=a.test;proto=https']], 'https a.test 443'],
];

for (const [rule, hops, fields, told] of TOLD) {
  test(`Forwarding: what is told of the request: ${rule}`, () => {
    assert.equal(read(hops, '10.0.0.1', fields).told, told);
  });
}

test('Forwarding: every X-Forwarded field goes, others stay', () => {
  const fields: Fields = [
    ['X-Forwarded-For', '1.1.1.1'],
    ['X-FORWARDED-FOR', '2.2.2.2'],
    ['X-Forwarded-Prefix', '/x'],
    ['x-forwarded-client-cert', 'y'],
    ['Forwarded', 'for=1.1.1.1'],
    ['Accept', '*/*'],
  ];
  assert.equal(read(NOBODY, '10.0.0.1', fields).left, 'Accept: */*\r\n');
});

test('Forwarding: without any such field, nothing is searched for', () => {
  const forwarding = new Forwarding({ trustedHops: TEN, publicPort: 80, standard: 'omit', certificate: 'none' });
  const client = forwarding.read(requestOf([], ''), { peerIp: '10.0.0.1', scheme: 'https', seen: 0 });
  assert.deepEqual(client, {
    ip: '10.0.0.1',
    lines: 'x-forwarded-for: 10.0.0.1\r\nx-forwarded-proto: https\r\nx-forwarded-port: 80\r\n',
    told: '',
  });
});

test('Forwarding: the peer of the last request is not taken for the next', () => {
  const forwarding = new Forwarding({ trustedHops: TEN, publicPort: 80, standard: 'omit', certificate: 'none' });
  const ipFrom = (peerIp: string): string =>
    forwarding.read(requestOf(xff('1.1.1.1')), { peerIp, scheme: 'http', seen: SEEN_FORWARDED }).ip;
  assert.deepEqual(['10.0.0.1', '2.2.2.2', '10.0.0.1'].map(ipFrom), ['1.1.1.1', '2.2.2.2', '1.1.1.1']);
});
