/** `fourways.push.v1.Join`: carries what `Joining` decides. */
import { X509Certificate } from 'node:crypto';
import type { sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import { Fault } from '../base/fault.ts';
import { decodeMessage, encodeMessage, type Read } from './codec.ts';
import { pushFault, wordsOf } from './faults.ts';
import type { Facts, Issued, Joining } from './joining.ts';
import { identityOf } from './peer.ts';
import { ANCHORS_ANSWER, JOIN_ANSWER, JOIN_REQUEST, RENEW_REQUEST } from './shapes.ts';
import { writtenTrust } from './trust-wire.ts';

/** A request for a certificate has some 300 bytes, with an RSA key 1,500. */
const CSR_BYTES_MAX = 16 * 1024;
const TOKEN_CHARS_MAX = 4_096;
const FACTS_MAX = 32;
const FACT_CHARS_MAX = 1_024;

export interface JoinHandlersOptions {
  readonly joining: Joining;
  readonly trustDomains: readonly string[];
  refuse(fault: Fault, peer: string): void;
}

type Call = ServerUnaryCall<Buffer, Buffer>;
type Answer = sendUnaryData<Buffer>;

export function joinHandlers(
  options: JoinHandlersOptions,
): Readonly<Record<'Anchors' | 'Join' | 'Renew', (call: Call, answer: Answer) => void>> {
  const carry = (call: Call, answer: Answer, issue: () => Promise<Issued | Fault>): void => {
    const settle = (issued: Issued | Fault): void => {
      if (issued instanceof Fault) {
        options.refuse(issued, call.getPeer());
        answer({ code: issued.kind.grpc, details: wordsOf(issued) });
        return;
      }
      const { chainPem, trust } = issued;
      answer(null, Buffer.from(encodeMessage(JOIN_ANSWER, { chain_pem: chainPem, trust: writtenTrust(trust) })));
    };
    // What is thrown is a defect, or a store that is away: nothing that the other end should read.
    issue().then(settle, (error: unknown) => {
      const detail = error instanceof Error ? error.message : String(error);
      options.refuse(pushFault('push.join-failed', detail), call.getPeer());
      const told = pushFault('push.join-failed', 'The control plane cannot issue a certificate now');
      answer({ code: told.kind.grpc, details: wordsOf(told) });
    });
  };
  return {
    Anchors: (_, answer) =>
      answer(null, Buffer.from(encodeMessage(ANCHORS_ANSWER, { anchors: options.joining.anchors() }))),
    Join: (call, answer) => carry(call, answer, () => join(call, options)),
    Renew: (call, answer) => carry(call, answer, () => renew(call, options)),
  };
}

async function join({ request }: Call, { joining }: JoinHandlersOptions): Promise<Issued | Fault> {
  const read = decodeMessage(JOIN_REQUEST, request);
  if (typeof read === 'string') return pushFault('push.protocol', `The request cannot be read: ${read}`);
  if (read.token.length > TOKEN_CHARS_MAX || isTooLarge(read)) {
    return pushFault('push.too-large', 'A request to join is too large');
  }
  return joining.join(read.token, Buffer.from(read.csr), factsIn(read));
}

async function renew(call: Call, { joining, trustDomains }: JoinHandlersOptions): Promise<Issued | Fault> {
  const raw = call.getAuthContext().sslPeerCertificate?.raw;
  if (raw === undefined) return pushFault('push.unauthenticated', 'A renewal without a certificate');
  const identity = identityOf(new X509Certificate(raw), trustDomains);
  if (identity instanceof Fault) return identity;
  const read = decodeMessage(RENEW_REQUEST, call.request);
  if (typeof read === 'string') return pushFault('push.protocol', `The request cannot be read: ${read}`);
  if (isTooLarge(read)) return pushFault('push.too-large', 'A request to renew is too large');
  return joining.renew(identity, Buffer.from(read.csr), factsIn(read));
}

type Asked = Read<typeof RENEW_REQUEST>;

function isTooLarge({ csr, facts }: Asked): boolean {
  return (
    csr.length > CSR_BYTES_MAX ||
    facts.length > FACTS_MAX ||
    facts.some(({ name, value }) => name.length + value.length > FACT_CHARS_MAX)
  );
}

function factsIn({ facts }: Asked): Facts {
  return Object.fromEntries(facts.map(({ name, value }) => [name, value]));
}
