/**
 * Headers of the PROXY protocol, versions 1 and 2 ("The PROXY protocol", HAProxy Technologies, sections 2.1 and 2.2): what
 * a proxy in front says of the client before the first byte of the connection. Read strictly: a header that could be read
 * in two ways is refused, and one in a form that nobody needs.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { crc32c } from './crc32c.ts';

export interface ProxyAddress {
  readonly ip: string;
  readonly port: number;
}

/** What was said of TLS between the client and the proxy in front. */
export interface ProxyTls {
  /** `TLSv1.3`; empty when not said. */
  readonly version: string;
  readonly cipher: string;
  /** Common name of the client's certificate; empty without one. */
  readonly commonName: string;
  /** Whether a certificate was shown and found good. */
  readonly verified: boolean;
}

export interface ProxyHeader {
  readonly version: 1 | 2;
  /** `local`: the proxy in front speaks for itself, as in a health check. */
  readonly command: 'proxy' | 'local';
  /** Undefined: not said. The connection's own addresses count. */
  readonly source: ProxyAddress | undefined;
  readonly destination: ProxyAddress | undefined;
  readonly alpn: string;
  /** Server name of the handshake with the client. */
  readonly authority: string;
  readonly uniqueId: Buffer | undefined;
  readonly tls: ProxyTls | undefined;
}

/** What the first bytes of a connection are. */
export type ProxyRead =
  | { readonly kind: 'header'; readonly header: ProxyHeader; readonly bytes: number }
  /** Not a header. */
  | { readonly kind: 'absent' }
  /** The beginning of a header. */
  | { readonly kind: 'more' }
  | { readonly kind: 'malformed'; readonly why: string };

/** A whole header. Version 1 ends before byte 107; what TLVs of version 2 are known take some hundred. Beyond: refused. */
export const PROXY_HEADER_BYTES_MAX = 4_096;

const V1_BYTES_MAX = 107;
const V1_START = Buffer.from('PROXY ', 'latin1');
const V2_START = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
const V2_FIXED_BYTES = 16;

const MORE: ProxyRead = { kind: 'more' };
const ABSENT: ProxyRead = { kind: 'absent' };

/** @param bytes  everything that has arrived since the connection was accepted */
export function readProxyHeader(bytes: Buffer): ProxyRead {
  if (beginsWith(bytes, V2_START)) return bytes.length < V2_FIXED_BYTES ? MORE : readV2(bytes);
  if (beginsWith(bytes, V1_START)) return bytes.length < V1_START.length ? MORE : readV1(bytes);
  return ABSENT;
}

/** As far as both go. */
function beginsWith(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length);
  return bytes.compare(start, 0, length, 0, length) === 0;
}

function malformed(why: string): ProxyRead {
  return { kind: 'malformed', why };
}

// --- version 1 -------------------------------------------------------------------------------------------------------

function readV1(bytes: Buffer): ProxyRead {
  const end = bytes.subarray(0, V1_BYTES_MAX).indexOf('\r\n');
  if (end < 0) {
    return bytes.length < V1_BYTES_MAX ? MORE : malformed(`A header of version 1 has at most ${V1_BYTES_MAX} bytes`);
  }
  const words = bytes.toString('latin1', V1_START.length, end).split(' ');
  const [family, from = '', to = '', fromPort = '', toPort = ''] = words;
  const said = (addresses?: { readonly source: ProxyAddress; readonly destination: ProxyAddress }): ProxyRead => ({
    kind: 'header',
    bytes: end + 2,
    header: { ...NOTHING_SAID, version: 1, command: 'proxy', ...addresses },
  });
  // What follows UNKNOWN has to be ignored.
  if (family === 'UNKNOWN') return said();
  if (family !== 'TCP4' && family !== 'TCP6') return malformed('The protocol is not TCP4, TCP6 or UNKNOWN');
  if (words.length !== 5) return malformed('A header of version 1 has two addresses and two ports');
  const isAddress = family === 'TCP4' ? isIPv4 : isIPv6;
  if (!isAddress(from) || !isAddress(to) || from.includes('%') || to.includes('%')) {
    return malformed(`An address is not one of ${family}`);
  }
  const [source, destination] = [portOf(fromPort), portOf(toPort)];
  if (source === undefined || destination === undefined) return malformed('A port is not a number up to 65535');
  return said({ source: { ip: from, port: source }, destination: { ip: to, port: destination } });
}

function portOf(text: string): number | undefined {
  if (!/^(?:0|[1-9][0-9]{0,4})$/.test(text)) return undefined;
  const port = Number(text);
  return port <= 65_535 ? port : undefined;
}

// --- version 2 -------------------------------------------------------------------------------------------------------

const NOTHING_SAID = {
  source: undefined,
  destination: undefined,
  alpn: '',
  authority: '',
  uniqueId: undefined,
  tls: undefined,
};

/** Bytes of the addresses of each family: none, IPv4, IPv6, Unix. */
const ADDRESS_BYTES = [0, 12, 36, 216] as const;
const FAMILY = { ipv4: 1, ipv6: 2 } as const;
/** `STREAM` over either family of IP. */
const STREAM = 1;

function readV2(bytes: Buffer): ProxyRead {
  const command = bytes[12]! & 0x0f;
  const family = bytes[13]! >> 4;
  const transport = bytes[13]! & 0x0f;
  const length = bytes.readUInt16BE(14);
  if (bytes[12]! >> 4 !== 2) return malformed(`Version ${bytes[12]! >> 4} behind the signature of version 2`);
  if (command > 1) return malformed(`Unknown command ${command}`);
  if (family > 3 || transport > 2) return malformed(`Unknown family ${family} or transport ${transport}`);
  const end = V2_FIXED_BYTES + length;
  if (end > PROXY_HEADER_BYTES_MAX) return malformed(`The header has more than ${PROXY_HEADER_BYTES_MAX} bytes`);
  if (bytes.length < end) return MORE;

  const isLocal = command === 0;
  const addressBytes = ADDRESS_BYTES[family]!;
  if (length < addressBytes) return malformed(`${length} bytes cannot hold the addresses of family ${family}`);
  const body = bytes.subarray(V2_FIXED_BYTES, end);
  // A proxy that speaks for itself may say whatever it likes behind that.
  if (isLocal) return { kind: 'header', bytes: end, header: { ...NOTHING_SAID, version: 2, command: 'local' } };
  const tlvs = readTlvs(body.subarray(addressBytes));
  if (typeof tlvs === 'string') return malformed(tlvs);
  const sum = checkSum(bytes.subarray(0, end), tlvs, V2_FIXED_BYTES + addressBytes);
  if (sum !== undefined) return malformed(sum);
  const uniqueId = tlvs.get(TLV.uniqueId)?.value;
  if (uniqueId !== undefined && uniqueId.length > UNIQUE_ID_BYTES_MAX) return malformed('The unique id is too long');
  const tls = readTls(tlvs.get(TLV.tls)?.value);
  if (typeof tls === 'string') return malformed(tls);
  return {
    kind: 'header',
    bytes: end,
    header: {
      version: 2,
      command: 'proxy',
      ...readAddresses(body, family),
      alpn: textOf(tlvs.get(TLV.alpn)?.value),
      authority: textOf(tlvs.get(TLV.authority)?.value).toLowerCase(),
      uniqueId: uniqueId === undefined ? undefined : Buffer.from(uniqueId),
      tls,
    },
  };
}

function readAddresses(body: Buffer, family: number): Pick<ProxyHeader, 'source' | 'destination'> {
  if (family === FAMILY.ipv4) {
    return {
      source: { ip: ipv4(body, 0), port: body.readUInt16BE(8) },
      destination: { ip: ipv4(body, 4), port: body.readUInt16BE(10) },
    };
  }
  if (family !== FAMILY.ipv6) return NOTHING_SAID;
  return {
    source: { ip: ipv6(body, 0), port: body.readUInt16BE(32) },
    destination: { ip: ipv6(body, 16), port: body.readUInt16BE(34) },
  };
}

function ipv4(body: Buffer, at: number): string {
  return body.subarray(at, at + 4).join('.');
}

/** In the form of RFC 5952; IPv4 inside of IPv6 (RFC 4291 section 2.5.5.2) as what it is. */
function ipv6(body: Buffer, at: number): string {
  if (body.subarray(at, at + 12).equals(MAPPED)) return ipv4(body, at + 12);
  const groups = Array.from({ length: 8 }, (_, i) => body.readUInt16BE(at + 2 * i).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

const MAPPED = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);

const TLV = { alpn: 0x01, authority: 0x02, checksum: 0x03, noop: 0x04, uniqueId: 0x05, tls: 0x20 } as const;
const TLS_TLV = { version: 0x21, commonName: 0x22, cipher: 0x23 } as const;
const UNIQUE_ID_BYTES_MAX = 128;

interface Tlv {
  readonly value: Buffer;
  /** Of the value, in the bytes that were read. */
  readonly at: number;
}

/** By type. Each may come once, but for the one that only fills; or what is wrong. */
function readTlvs(bytes: Buffer): Map<number, Tlv> | string {
  const tlvs = new Map<number, Tlv>();
  for (let at = 0; at < bytes.length;) {
    if (at + 3 > bytes.length) return 'A TLV is cut off';
    const type = bytes[at]!;
    const end = at + 3 + bytes.readUInt16BE(at + 1);
    if (end > bytes.length) return `TLV ${type} is longer than the header`;
    if (type !== TLV.noop && tlvs.has(type)) return `TLV ${type} comes twice`;
    tlvs.set(type, { value: bytes.subarray(at + 3, end), at: at + 3 });
    at = end;
  }
  return tlvs;
}

/** Section 2.2.3: over the whole header, the sum itself counted as zero. */
function checkSum(header: Buffer, tlvs: ReadonlyMap<number, Tlv>, tlvsAt: number): string | undefined {
  const sum = tlvs.get(TLV.checksum);
  if (sum === undefined) return undefined;
  if (sum.value.length !== 4) return 'The checksum does not have 4 bytes';
  const zeroed = Buffer.from(header);
  zeroed.fill(0, tlvsAt + sum.at, tlvsAt + sum.at + 4);
  return crc32c(zeroed) === sum.value.readUInt32BE(0) ? undefined : 'The checksum is wrong';
}

/** Bits of the first byte: TLS was spoken, a certificate was shown on this connection, or in this session. */
const CLIENT = { tls: 1, certConn: 2, certSess: 4 } as const;

function readTls(value: Buffer | undefined): ProxyTls | undefined | string {
  if (value === undefined) return undefined;
  if (value.length < 5) return 'The TLV of TLS is cut off';
  const parts = readTlvs(value.subarray(5));
  if (typeof parts === 'string') return parts;
  const client = value[0]!;
  if ((client & CLIENT.tls) === 0) return undefined;
  return {
    version: textOf(parts.get(TLS_TLV.version)?.value),
    cipher: textOf(parts.get(TLS_TLV.cipher)?.value),
    commonName: textOf(parts.get(TLS_TLV.commonName)?.value),
    verified: (client & (CLIENT.certConn | CLIENT.certSess)) !== 0 && value.readUInt32BE(1) === 0,
  };
}

function textOf(value: Buffer | undefined): string {
  return value === undefined ? '' : value.toString('utf8');
}

// --- writing ---------------------------------------------------------------------------------------------------------

/** What is said of a client to an upstream. */
export interface ProxySaid {
  readonly source: ProxyAddress;
  readonly destination: ProxyAddress;
  readonly alpn: string;
  readonly authority: string;
  readonly uniqueId: Buffer | undefined;
  readonly tls: ProxyTls | undefined;
}

export type ProxyFormat = 'v1' | 'v2' | 'v2-crc32c';

export function writeProxyHeader(said: ProxySaid, format: ProxyFormat): Buffer {
  if (format === 'v1') return writeV1(said);
  const { source, destination } = said;
  const family = familyOf(said);
  const addresses = Buffer.concat([
    packed(source.ip, family),
    packed(destination.ip, family),
    uint16(source.port),
    uint16(destination.port),
  ]);
  const tlvs = Buffer.concat([
    ...(format === 'v2-crc32c' ? [tlv(TLV.checksum, Buffer.alloc(4))] : []),
    ...textTlv(TLV.alpn, said.alpn),
    ...textTlv(TLV.authority, said.authority),
    ...(said.uniqueId === undefined ? [] : [tlv(TLV.uniqueId, said.uniqueId)]),
    ...(said.tls === undefined ? [] : [tlv(TLV.tls, tlsValue(said.tls))]),
  ]);
  const fixed = [0x21, (FAMILY[family] << 4) | STREAM];
  const header = Buffer.concat([V2_START, Buffer.from(fixed), uint16(addresses.length + tlvs.length), addresses, tlvs]);
  if (format === 'v2-crc32c') header.writeUInt32BE(crc32c(header), V2_FIXED_BYTES + addresses.length + 3);
  return header;
}

function writeV1(said: ProxySaid): Buffer {
  const { source, destination } = said;
  const family = familyOf(said);
  const ip = (address: string): string => (family === 'ipv6' && isIPv4(address) ? `::ffff:${address}` : address);
  const words = [family === 'ipv4' ? 'TCP4' : 'TCP6', ip(source.ip), ip(destination.ip), source.port, destination.port];
  return Buffer.from(`PROXY ${words.join(' ')}\r\n`, 'latin1');
}

/** One family for both: IPv4 in IPv6 where they differ. */
function familyOf({ source, destination }: ProxySaid): 'ipv4' | 'ipv6' {
  return isIPv4(source.ip) && isIPv4(destination.ip) ? 'ipv4' : 'ipv6';
}

function packed(ip: string, family: 'ipv4' | 'ipv6'): Buffer {
  if (isIPv4(ip)) {
    const bytes = Buffer.from(ip.split('.').map(Number));
    return family === 'ipv4' ? bytes : Buffer.concat([MAPPED, bytes]);
  }
  // The URL parser writes the shortest form: only `::` is left to be filled.
  const [head = '', tail] = new URL(`http://[${ip.split('%')[0]}]`).hostname.slice(1, -1).split('::');
  const groups = (text: string): number[] => (text === '' ? [] : text.split(':').map((group) => Number(`0x${group}`)));
  const [before, after] = [groups(head), groups(tail ?? '')];
  const all = [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after];
  return Buffer.concat(all.map(uint16));
}

function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

function tlv(type: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type]), uint16(value.length), value]);
}

function textTlv(type: number, text: string): Buffer[] {
  return text === '' ? [] : [tlv(type, Buffer.from(text, 'utf8'))];
}

function tlsValue({ version, cipher, commonName, verified }: ProxyTls): Buffer {
  const client = CLIENT.tls | (verified ? CLIENT.certConn | CLIENT.certSess : 0);
  // Zero: verified. Anything else: not.
  const fixed = Buffer.from([client, 0, 0, 0, verified ? 0 : 1]);
  return Buffer.concat([
    fixed,
    ...textTlv(TLS_TLV.version, version),
    ...textTlv(TLS_TLV.commonName, commonName),
    ...textTlv(TLS_TLV.cipher, cipher),
  ]);
}
