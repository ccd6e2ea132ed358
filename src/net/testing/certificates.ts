/** Certificates for tests, made on the spot: X.509 version 3 in DER (RFC 5280), as little of it as TLS needs. */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { systemClock } from '../../base/clock.ts';

export interface Certified {
  /** The certificate, then those of its issuers up to but without the root. */
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  /** The certificate alone. */
  readonly leafPem: string;
  readonly issuer: Certified | undefined;
  readonly subject: string;
  readonly key: KeyObject;
  readonly keyKind: KeyKind;
  readonly keyId: Buffer;
}

type KeyKind = 'ec' | 'rsa';
type Kind = 'ca' | 'server' | 'client' | 'workload';

export interface CertificateWish {
  readonly subject?: string;
  readonly hosts?: readonly string[];
  readonly uris?: readonly string[];
  /** Signs it; without one it signs itself. */
  readonly issuer?: Certified;
  /** `workload`: client and server at once. */
  readonly kind?: Kind;
  readonly keyKind?: KeyKind;
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
}

const DAY_MS = 86_400_000;

export function makeCertificate(wish: CertificateWish): Certified {
  const { issuer, hosts = [], uris = [], kind = 'server', keyKind = 'ec' } = wish;
  const { publicKey, privateKey } =
    keyKind === 'ec'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2_048 });
  const subject = wish.subject ?? hosts[0] ?? `Test ${kind} ${randomBytes(4).toString('hex')}`;
  const publicDer = publicKey.export({ type: 'spki', format: 'der' });
  const keyId = createHash('sha1').update(publicDer).digest();
  const signer = issuer ?? { key: privateKey, keyKind, subject, keyId };
  const algorithm = signer.keyKind === 'ec' ? sequence(oid('1.2.840.10045.4.3.2')) : RSA_SHA256;
  const body = sequence(
    tagged(0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithm,
    distinguishedName(signer.subject),
    sequence(
      time(wish.notBeforeMs ?? systemClock.wallMs() - DAY_MS),
      time(wish.notAfterMs ?? systemClock.wallMs() + 30 * DAY_MS),
    ),
    distinguishedName(subject),
    publicDer,
    tagged(3, sequence(...extensions({ kind, hosts, uris, keyId, issuerKeyId: signer.keyId }))),
  );
  const signature = sign('sha256', body, signer.key);
  const leafPem = pem('CERTIFICATE', sequence(body, algorithm, bitString(signature)));
  const chain = issuer?.issuer === undefined ? '' : issuer.certificatePem;
  return {
    certificatePem: leafPem + chain,
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    leafPem,
    issuer,
    subject,
    key: privateKey,
    keyKind,
    keyId,
  };
}

interface ExtensionWish {
  readonly kind: Kind;
  readonly hosts: readonly string[];
  readonly uris: readonly string[];
  readonly keyId: Buffer;
  readonly issuerKeyId: Buffer;
}

function extensions({ kind, hosts, uris, keyId, issuerKeyId }: ExtensionWish): Buffer[] {
  const isCa = kind === 'ca';
  const names = [
    ...hosts.map((host) =>
      isIpv4(host) ? raw(0x87, Buffer.from(host.split('.').map(Number))) : raw(0x82, ascii(host)),
    ),
    ...uris.map((uri) => raw(0x86, ascii(uri))),
  ];
  const list = [
    extension('2.5.29.19', TRUE, sequence(...(isCa ? [TRUE] : []))),
    // keyCertSign and cRLSign, or digitalSignature and keyEncipherment.
    extension('2.5.29.15', TRUE, raw(0x03, Buffer.from(isCa ? [1, 0x06] : [5, 0xa0]))),
    extension('2.5.29.14', octets(keyId)),
    extension('2.5.29.35', sequence(raw(0x80, issuerKeyId))),
  ];
  if (kind !== 'ca') list.push(extension('2.5.29.37', sequence(...PURPOSES[kind].map(oid))));
  if (names.length > 0) list.push(extension('2.5.29.17', sequence(...names)));
  return list;
}

/** Extended key usage: serverAuth, clientAuth. */
const PURPOSES = {
  server: ['1.3.6.1.5.5.7.3.1'],
  client: ['1.3.6.1.5.5.7.3.2'],
  workload: ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'],
} as const;

/** @param value  of the extension; before it `TRUE` when it is critical */
function extension(id: string, ...value: readonly [Buffer] | readonly [critical: Buffer, Buffer]): Buffer {
  return sequence(oid(id), ...value.slice(0, -1), octets(value.at(-1)!));
}

function isIpv4(host: string): boolean {
  return /^\d+(?:\.\d+){3}$/.test(host);
}

function raw(tag: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const length =
    body.length < 128
      ? [body.length]
      : body.length < 256
        ? [0x81, body.length]
        : [0x82, body.length >> 8, body.length & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

const ascii = (text: string): Buffer => Buffer.from(text, 'latin1');
const sequence = (...parts: readonly Buffer[]): Buffer => raw(0x30, ...parts);
const octets = (bytes: Buffer): Buffer => raw(0x04, bytes);
const tagged = (tag: number, body: Buffer): Buffer => raw(0xa0 | tag, body);
const bitString = (bytes: Buffer): Buffer => raw(0x03, Buffer.from([0]), bytes);
/** A positive number: a leading zero where the first bit would say otherwise. */
const integer = (bytes: Buffer): Buffer => raw(0x02, bytes[0]! >= 0x80 ? Buffer.from([0]) : Buffer.alloc(0), bytes);
const distinguishedName = (name: string): Buffer =>
  sequence(raw(0x31, sequence(oid('2.5.4.3'), raw(0x0c, Buffer.from(name)))));
const time = (ms: number): Buffer =>
  raw(0x17, ascii(`${new Date(ms).toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`));

function oid(dotted: string): Buffer {
  const [first, second, ...rest] = dotted.split('.').map(Number);
  const bytes = [first! * 40 + second!];
  for (const arc of rest) {
    const groups = [arc & 127];
    for (let left = arc >> 7; left > 0; left >>= 7) groups.unshift((left & 127) | 128);
    bytes.push(...groups);
  }
  return raw(0x06, Buffer.from(bytes));
}

const TRUE = raw(0x01, Buffer.from([255]));
const RSA_SHA256 = sequence(oid('1.2.840.113549.1.1.11'), raw(0x05));

function pem(label: string, der: Buffer): string {
  return `-----BEGIN ${label}-----\n${der
    .toString('base64')
    .match(/.{1,64}/g)!
    .join('\n')}\n-----END ${label}-----\n`;
}
