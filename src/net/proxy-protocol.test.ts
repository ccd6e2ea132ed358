import assert from 'node:assert/strict';
import test from 'node:test';
import { crc32c } from './crc32c.ts';
import { PROXY_HEADER_BYTES_MAX, type ProxySaid, readProxyHeader, writeProxyHeader } from './proxy-protocol.ts';

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const text = (line: string): Buffer => Buffer.from(line, 'latin1');
const TCP4 = Buffer.from('0a00000114000002303901bb', 'hex'); // 10.0.0.1:12345 -> 20.0.0.2:443

function v2(versionCommand: number, family: number, body: Buffer, length = body.length): Buffer {
  return Buffer.concat([SIGNATURE, Buffer.from([versionCommand, family, length >> 8, length & 0xff]), body]);
}

function tlv(type: number, value: Buffer | string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([type, bytes.length >> 8, bytes.length & 0xff]), bytes]);
}

const withTlvs = (...tlvs: Buffer[]): Buffer => v2(0x21, 0x11, Buffer.concat([TCP4, ...tlvs]));

/** What is read, in short: addresses, or why not. */
function said(bytes: Buffer): string {
  const read = readProxyHeader(bytes);
  if (read.kind === 'malformed') return `malformed: ${read.why}`;
  if (read.kind !== 'header') return read.kind;
  const { version, command, source, destination } = read.header;
  const ends = [source, destination].map((end) => (end === undefined ? '-' : `${end.ip} ${end.port}`));
  return `v${version} ${command} ${ends.join(' > ')} in ${read.bytes}`;
}

const ROWS: readonly (readonly [rule: string, bytes: Buffer, want: string | RegExp])[] = [
  ['v1, IPv4', text('PROXY TCP4 10.0.0.1 20.0.0.2 1 65535\r\nGET'), 'v1 proxy 10.0.0.1 1 > 20.0.0.2 65535 in 38'],
  ['v1, IPv6', text('PROXY TCP6 2001:db8::1 ::1 4 5\r\n'), 'v1 proxy 2001:db8::1 4 > ::1 5 in 32'],
  ['v1, unknown', text('PROXY UNKNOWN\r\n'), 'v1 proxy - > - in 15'],
  ['v1, unknown with what has to be ignored', text('PROXY UNKNOWN ffff::1 x y z\r\n'), 'v1 proxy - > - in 29'],
  ['nothing yet', text(''), 'more'],
  ['v1, cut in its first word', text('PRO'), 'more'],
  ['v1, cut before its end', text('PROXY TCP4 10.0.0.1 20.0.0.2 1 2\r'), 'more'],
  ['another word that begins like it', text('PROPFIND / HTTP/1.1\r\n'), 'absent'],
  ['HTTP/2 begins with an R in the second place too', text('PRI * HTTP/2.0\r\n'), 'absent'],
  ['a ClientHello', Buffer.from('16030100', 'hex'), 'absent'],
  ['v1, lower case', text('proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n'), 'absent'],
  ['v1, too long', text(`PROXY TCP4 ${' '.repeat(120)}`), /malformed: A header of version 1 has at most 107 bytes/],
  ['v1, the longest there is', text(`PROXY UNKNOWN ${'f'.repeat(91)}\r\n`), 'v1 proxy - > - in 107'],
  ['v1, one more', text(`PROXY UNKNOWN ${'f'.repeat(92)}\r\n`), /^malformed/],
  ['v1, no protocol', text('PROXY \r\n'), /protocol is not TCP4/],
  ['v1, UDP', text('PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n'), /protocol is not TCP4/],
  ['v1, two spaces', text('PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n'), /two addresses and two ports/],
  ['v1, one word too few', text('PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n'), /two addresses and two ports/],
  ['v1, one word too many', text('PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n'), /two addresses and two ports/],
  ['v1, IPv6 as IPv4', text('PROXY TCP4 ::1 2.2.2.2 1 2\r\n'), /not one of TCP4/],
  ['v1, IPv4 as IPv6', text('PROXY TCP6 ::1 2.2.2.2 1 2\r\n'), /not one of TCP6/],
  ['v1, an address with a zero in front', text('PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n'), /not one of TCP4/],
  ['v1, an address with a zone', text('PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n'), /not one of TCP6/],
  ['v1, a name', text('PROXY TCP4 localhost 2.2.2.2 1 2\r\n'), /not one of TCP4/],
  ['v1, a port too large', text('PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n'), /port is not a number/],
  ['v1, a port with a zero in front', text('PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n'), /port is not a number/],
  ['v1, a negative port', text('PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n'), /port is not a number/],
  ['v1, LF alone', text('PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n'), 'more'],

  ['v2, IPv4', v2(0x21, 0x11, TCP4), 'v2 proxy 10.0.0.1 12345 > 20.0.0.2 443 in 28'],
  [
    'v2, IPv6',
    v2(0x21, 0x21, Buffer.from(`20010db8${'0'.repeat(22)}01${'0'.repeat(31)}100010002`, 'hex')),
    'v2 proxy 2001:db8::1 1 > ::1 2 in 52',
  ],
  [
    'v2, IPv4 within IPv6',
    v2(0x21, 0x21, Buffer.from(`${'0'.repeat(20)}ffff01020304${'0'.repeat(20)}ffff0506070800010002`, 'hex')),
    'v2 proxy 1.2.3.4 1 > 5.6.7.8 2 in 52',
  ],
  ['v2, Unix', v2(0x21, 0x31, Buffer.alloc(216)), 'v2 proxy - > - in 232'],
  ['v2, not said', v2(0x21, 0x00, Buffer.alloc(0)), 'v2 proxy - > - in 16'],
  ['v2, datagrams over IPv4', v2(0x21, 0x12, TCP4), 'v2 proxy 10.0.0.1 12345 > 20.0.0.2 443 in 28'],
  ['v2, local', v2(0x20, 0x00, Buffer.alloc(0)), 'v2 local - > - in 16'],
  ['v2, local, with addresses that do not count', v2(0x20, 0x11, TCP4), 'v2 local - > - in 28'],
  ['v2, cut in its signature', SIGNATURE.subarray(0, 5), 'more'],
  ['v2, cut behind its signature', SIGNATURE, 'more'],
  ['v2, cut in its addresses', v2(0x21, 0x11, TCP4).subarray(0, 27), 'more'],
  ['a signature with a mistake', Buffer.from('0d0a0d0a000d0a515549540b', 'hex'), 'absent'],
  ['v2, another version', v2(0x11, 0x11, TCP4), /Version 1 behind/],
  ['v2, another command', v2(0x22, 0x11, TCP4), /Unknown command 2/],
  ['v2, another family', v2(0x21, 0x41, TCP4), /Unknown family 4/],
  ['v2, another transport', v2(0x21, 0x13, TCP4), /transport 3/],
  ['v2, addresses that do not fit', v2(0x21, 0x11, TCP4.subarray(1)), /11 bytes cannot hold/],
  ['v2, too long', v2(0x21, 0x11, Buffer.alloc(0), PROXY_HEADER_BYTES_MAX), /more than 4096 bytes/],
  ['v2, a TLV that is cut off', withTlvs(Buffer.from([1, 0])), /A TLV is cut off/],
  ['v2, a TLV longer than the header', withTlvs(Buffer.from([1, 0, 5, 1])), /TLV 1 is longer/],
  ['v2, a TLV twice', withTlvs(tlv(2, 'a'), tlv(2, 'b')), /TLV 2 comes twice/],
  [
    'v2, a TLV that only fills, twice',
    withTlvs(tlv(4, 'a'), tlv(4, '')),
    'v2 proxy 10.0.0.1 12345 > 20.0.0.2 443 in 35',
  ],
  ['v2, a TLV that nobody knows', withTlvs(tlv(0xe0, 'aws')), 'v2 proxy 10.0.0.1 12345 > 20.0.0.2 443 in 34'],
  ['v2, a unique id too long', withTlvs(tlv(5, Buffer.alloc(129))), /unique id is too long/],
  ['v2, a checksum of the wrong length', withTlvs(tlv(3, 'abc')), /does not have 4 bytes/],
  ['v2, a wrong checksum', withTlvs(tlv(3, 'abcd')), /checksum is wrong/],
  ['v2, TLS cut off', withTlvs(tlv(0x20, 'abcd')), /TLV of TLS is cut off/],
  [
    'v2, TLS with parts that are cut off',
    withTlvs(tlv(0x20, Buffer.from([1, 0, 0, 0, 0, 0x21, 0]))),
    /A TLV is cut off/,
  ],
];

for (const [rule, bytes, want] of ROWS) {
  test(`readProxyHeader: ${rule}`, () => {
    if (typeof want === 'string') assert.equal(said(bytes), want);
    else assert.match(said(bytes), want);
  });
}

test('crc32c: the check value of RFC 3720', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
});

const SAID: ProxySaid = {
  source: { ip: '10.0.0.1', port: 12_345 },
  destination: { ip: '20.0.0.2', port: 443 },
  alpn: 'h2',
  authority: 'shop.test',
  uniqueId: Buffer.from('an id'),
  tls: { version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', commonName: 'Zoë', verified: true },
};

test('what is written is read again, and damage to any byte behind the sum is seen by it', () => {
  const header = writeProxyHeader(SAID, 'v2-crc32c');
  const read = readProxyHeader(header);
  assert.ok(read.kind === 'header');
  assert.deepEqual(read, { kind: 'header', bytes: header.length, header: { version: 2, command: 'proxy', ...SAID } });
  const addressBytes = [...Array(12).keys()].map((at) => 16 + at);
  const rest = [...Array(header.length - 31).keys()].map((at) => 31 + at);
  for (const at of [...addressBytes, ...rest]) {
    const damaged = Buffer.from(header);
    damaged[at]! ^= 0x40;
    assert.notDeepEqual(readProxyHeader(damaged), read, `byte ${at}`);
    assert.notEqual(readProxyHeader(damaged).kind, 'header', `byte ${at}`);
  }
});

test('the same without a checksum, without TLS, over IPv6, and as version 1', () => {
  const plain = { ...SAID, tls: undefined, uniqueId: undefined, alpn: '', authority: '' };
  const mixed = { ...plain, destination: { ip: 'fe80::2', port: 1 } };
  assert.equal(said(writeProxyHeader(plain, 'v2')), 'v2 proxy 10.0.0.1 12345 > 20.0.0.2 443 in 28');
  assert.equal(said(writeProxyHeader(mixed, 'v2')), 'v2 proxy 10.0.0.1 12345 > fe80::2 1 in 52');
  assert.equal(writeProxyHeader(plain, 'v1').toString(), 'PROXY TCP4 10.0.0.1 20.0.0.2 12345 443\r\n');
  assert.equal(writeProxyHeader(mixed, 'v1').toString(), 'PROXY TCP6 ::ffff:10.0.0.1 fe80::2 12345 1\r\n');
  const unverified = { ...SAID, tls: { ...SAID.tls!, verified: false, commonName: '' } };
  const read = readProxyHeader(writeProxyHeader(unverified, 'v2'));
  assert.ok(read.kind === 'header' && read.header.tls?.verified === false);
});
