/**
 * A proxy's side of joining and of renewing. Nothing is told to a server before
 * it was verified: where only the hash of a root is known, a first connection
 * fetches public certificates and is closed, then a second one verifies by them.
 */
import { createSecureContext } from 'node:tls';
import { ChannelCredentials, Client, Metadata } from '@grpc/grpc-js';
import type { Clock } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';
import { anchorsFor } from '../identity/join-token.ts';
import { BoundedHandshake } from './bounded-handshake.ts';
import { decodeMessage, encodeMessage } from './codec.ts';
import { faultOfPeer, pushFault } from './faults.ts';
import { openClient, wordsOfError } from './grpc-client.ts';
import { channelOptions, JOIN_SERVICE, KEEPALIVE } from './grpc-shapes.ts';
import type { Facts, Issued } from './joining.ts';
import { type Credentials, serverNameFor } from './peer.ts';
import { ANCHORS_ANSWER, JOIN_ANSWER, JOIN_REQUEST, RENEW_REQUEST } from './shapes.ts';
import { trustIn } from './trust-wire.ts';

/** For one call, the handshake included: a certificate is issued in milliseconds. */
const CALL_MS = 15_000;

/** Anchors of a control plane: its roots, and what leads from former ones to them. */
const ANCHORS_MAX = 64;

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

/** What a certificate is asked for with. */
export interface Request {
  /** PKCS #10 (RFC 2986). */
  readonly csrDer: Uint8Array;
  readonly facts: Facts;
}

export interface JoinWish extends Request {
  readonly trust: FirstTrust;
  readonly token: string;
}

export async function joinMesh(target: Target, { trust, token, csrDer, facts }: JoinWish): Promise<Issued | Fault> {
  const roots = trust.kind === 'roots' ? trust.pem : await fetchAnchors(target, trust.sha256);
  if (roots instanceof Fault) return roots;
  const request = encodeMessage(JOIN_REQUEST, { token, csr: csrDer, facts: writtenFacts(facts) });
  const answer = await ask(target, () => open(target, { trustPem: roots }), { path: JOIN_SERVICE.Join.path, request });
  return answer instanceof Fault ? answer : issuedIn(answer);
}

/** A new certificate for the identity of the one that is shown. */
export async function renewCertificate(
  target: Target,
  credentials: Credentials,
  { csrDer, facts }: Request,
): Promise<Issued | Fault> {
  const request = encodeMessage(RENEW_REQUEST, { csr: csrDer, facts: writtenFacts(facts) });
  const answer = await ask(target, () => open(target, credentials), { path: JOIN_SERVICE.Renew.path, request });
  return answer instanceof Fault ? answer : issuedIn(answer);
}

function writtenFacts(facts: Facts): { readonly name: string; readonly value: string }[] {
  return Object.entries(facts).map(([name, value]) => ({ name, value }));
}

function issuedIn(answer: Buffer): Issued | Fault {
  const read = decodeMessage(JOIN_ANSWER, answer);
  if (typeof read === 'string') return pushFault('push.protocol', `The answer cannot be read: ${read}`);
  const trust = read.trust === undefined ? undefined : trustIn(read.trust);
  if (trust === undefined) return pushFault('push.protocol', 'The answer does not say what to trust');
  return trust instanceof Fault ? trust : { chainPem: read.chain_pem, trust };
}

/** What leads from the root of this hash to the server, as PEM. Nothing secret is said on this connection. */
async function fetchAnchors(target: Target, sha256: string): Promise<string | Fault> {
  const path = JOIN_SERVICE.Anchors.path;
  const answer = await ask(target, () => openUnverified(target), { path, request: new Uint8Array(0) });
  if (answer instanceof Fault) return answer;
  const read = decodeMessage(ANCHORS_ANSWER, answer);
  if (typeof read === 'string') return pushFault('push.protocol', `The answer cannot be read: ${read}`);
  const anchors = anchorsFor(read.anchors.slice(0, ANCHORS_MAX), sha256);
  if (anchors !== undefined) return anchors.join('\n');
  return pushFault('push.away', `${target.address} does not have the root that the token names`);
}

function open(
  { address, server, clock }: Target,
  credentials: Pick<Credentials, 'trustPem'> & Partial<Credentials>,
): Client {
  return openClient(address, { credentials, server, clock, keepalive: KEEPALIVE });
}

/** For public certificates, which are believed by their hash: whoever hands them out. */
function openUnverified({ address, server, clock }: Target): Client {
  const context = createSecureContext({ minVersion: 'TLSv1.3' });
  const unverified = ChannelCredentials.createFromSecureContext(context, { rejectUnauthorized: false });
  return new Client(address, new BoundedHandshake(unverified, clock), {
    ...channelOptions(KEEPALIVE),
    'grpc.ssl_target_name_override': serverNameFor(server),
  });
}

async function ask(
  { clock }: Target,
  openOne: () => Client,
  { path, request }: { readonly path: string; readonly request: Uint8Array },
): Promise<Buffer | Fault> {
  let client: Client;
  try {
    client = openOne();
  } catch (error) {
    return pushFault('push.away', `The own credentials cannot be used: ${wordsOfError(error)}`);
  }
  const { promise, resolve } = Promise.withResolvers<Buffer | Fault>();
  const cancel = clock.after(CALL_MS, () => resolve(pushFault('push.silent', `No answer in ${CALL_MS / 1_000} s`)));
  const bytes = Buffer.from(request);
  client.makeUnaryRequest<Buffer, Buffer>(path, same, same, bytes, new Metadata(), (error, answer) =>
    resolve(error === null ? answer! : faultOfPeer(error.details)),
  );
  const answer = await promise;
  cancel();
  client.close();
  return answer;
}

const same = (bytes: Buffer): Buffer => bytes;
