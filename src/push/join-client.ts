/**
 * A proxy's side of joining and of renewing. Nothing is told to a server before
 * it was verified: where only the hash of the root is known, a connection first
 * fetches the root itself and is closed, then a second one verifies by it.
 */
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { Metadata } from '@grpc/grpc-js';
import type { Clock } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';
import { decodeMessage, encodeMessage } from './codec.ts';
import { faultOfPeer, pushFault } from './faults.ts';
import { openClient, wordsOfError } from './grpc-client.ts';
import { JOIN_SERVICE, KEEPALIVE } from './grpc-shapes.ts';
import type { Facts, Issued } from './joining.ts';
import { type Credentials, serverNameFor } from './peer.ts';
import { JOIN_ANSWER, JOIN_REQUEST, RENEW_REQUEST } from './shapes.ts';

/** For one call, the handshake included: a certificate is issued in milliseconds. */
const CALL_MS = 15_000;

/** Certificates of one chain. */
const CHAIN_MAX = 10;

/** By what a control plane is verified that was never met: given roots, or the SHA-256 over the DER of one, in hex. */
export type FirstTrust =
  | { readonly kind: 'roots'; readonly pem: string }
  | { readonly kind: 'root-hash'; readonly sha256: string };

/** Which control plane, and who it has to be: its SPIFFE ID, or a host name. */
export interface Target {
  /** `HOST:PORT` */
  readonly address: string;
  readonly server: string;
  readonly clock: Clock;
}

export interface JoinWish {
  readonly trust: FirstTrust;
  readonly token: string;
  /** PKCS #10 (RFC 2986). */
  readonly csrDer: Uint8Array;
  readonly facts: Facts;
}

export async function joinMesh(target: Target, { trust, token, csrDer, facts }: JoinWish): Promise<Issued | Fault> {
  const roots = trust.kind === 'roots' ? trust.pem : await fetchRoot(target, trust.sha256);
  if (roots instanceof Fault) return roots;
  const request = encodeMessage(JOIN_REQUEST, {
    token,
    csr: csrDer,
    facts: Object.entries(facts).map(([name, value]) => ({ name, value })),
  });
  return call(target, { trustPem: roots }, { path: JOIN_SERVICE.Join.path, request });
}

/** A new certificate for the identity of the one that is shown. */
export async function renewCertificate(
  target: Target,
  credentials: Credentials,
  csrDer: Uint8Array,
): Promise<Issued | Fault> {
  const request = encodeMessage(RENEW_REQUEST, { csr: csrDer });
  return call(target, credentials, { path: JOIN_SERVICE.Renew.path, request });
}

async function call(
  { address, server, clock }: Target,
  credentials: Pick<Credentials, 'trustPem'> & Partial<Credentials>,
  { path, request }: { readonly path: string; readonly request: Uint8Array },
): Promise<Issued | Fault> {
  let client;
  try {
    client = openClient(address, { credentials, server, keepalive: KEEPALIVE });
  } catch (error) {
    return pushFault('push.away', `The own credentials cannot be used: ${wordsOfError(error)}`);
  }
  const { promise, resolve } = Promise.withResolvers<Issued | Fault>();
  const deadline = clock.wallMs() + CALL_MS;
  const metadata = new Metadata();
  client.makeUnaryRequest<Buffer, Buffer>(
    path,
    same,
    same,
    Buffer.from(request),
    metadata,
    { deadline },
    (error, answer) => resolve(error === null ? issuedOf(answer!) : faultOfPeer(error.details)),
  );
  const issued = await promise;
  client.close();
  return issued;
}

function issuedOf(answer: Buffer): Issued | Fault {
  const read = decodeMessage(JOIN_ANSWER, answer);
  if (typeof read === 'string') return pushFault('push.protocol', `The answer cannot be read: ${read}`);
  return { chainPem: read.chain_pem, trustPem: read.trust_pem };
}

/** The root that the server shows, if it has this hash. Nothing else of the connection is believed, and nothing is sent. */
async function fetchRoot({ address, server, clock }: Target, sha256: string): Promise<string | Fault> {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  const socket = connect({
    host,
    port: Number(address.slice(colon + 1)),
    servername: serverNameFor(server),
    ALPNProtocols: ['h2'],
    minVersion: 'TLSv1.3',
    // Only public certificates are taken from it; the connection that says something is verified by them.
    rejectUnauthorized: false,
  });
  const cancel = clock.after(CALL_MS, () => socket.destroy(new Error('It did not answer in time')));
  try {
    await once(socket, 'secureConnect');
    return rootIn(socket, sha256) ?? pushFault('push.away', `${address} does not show the root that the token names`);
  } catch (error) {
    return pushFault('push.away', `${address} cannot be reached: ${wordsOfError(error)}`);
  } finally {
    cancel();
    socket.destroy();
  }
}

function rootIn(socket: TLSSocket, sha256: string): string | undefined {
  let certificate = socket.getPeerX509Certificate();
  for (let i = 0; certificate !== undefined && i < CHAIN_MAX; i++) {
    const hash = certificate.fingerprint256.replaceAll(':', '').toLowerCase();
    // Only one that signs itself ends a chain: a leaf of that hash would be trusted for others.
    if (hash === sha256.toLowerCase() && certificate.checkIssued(certificate)) return certificate.toString();
    certificate = certificate.issuerCertificate;
  }
  return undefined;
}

const same = (bytes: Buffer): Buffer => bytes;
