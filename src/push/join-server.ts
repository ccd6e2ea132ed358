/** `fourways.push.v1.Join`: carries what `Joining` decides. */
import { X509Certificate } from 'node:crypto';
import type { sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import { Fault } from '../base/fault.ts';
import { decodeMessage, encodeMessage } from './codec.ts';
import { pushFault, wordsOf } from './faults.ts';
import type { Facts, Issued, Joining } from './joining.ts';
import { identityOf } from './peer.ts';
import { JOIN_ANSWER, JOIN_REQUEST, RENEW_REQUEST } from './shapes.ts';

/** A request for a certificate has some 300 bytes, with an RSA key 1,500. */
export const CSR_BYTES_MAX = 16 * 1024;
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
): Readonly<Record<'Join' | 'Renew', (call: Call, answer: Answer) => void>> {
  const carry = (call: Call, answer: Answer, issue: () => Promise<Issued | Fault>): void => {
    const settle = (issued: Issued | Fault): void => {
      if (issued instanceof Fault) {
        options.refuse(issued, call.getPeer());
        answer({ code: issued.kind.grpc, details: wordsOf(issued) });
        return;
      }
      const { chainPem, trustPem } = issued;
      answer(null, Buffer.from(encodeMessage(JOIN_ANSWER, { chain_pem: chainPem, trust_pem: trustPem })));
    };
    // What is thrown is a defect, or a store that is away: nothing that the other end should read.
    issue().then(settle, (error: unknown) => {
      const detail = error instanceof Error ? error.message : String(error);
      options.refuse(pushFault('push.away', `Joining failed: ${detail}`), call.getPeer());
      const told = pushFault('push.away', 'The control plane cannot issue a certificate now');
      answer({ code: told.kind.grpc, details: wordsOf(told) });
    });
  };
  return {
    Join: (call, answer) => carry(call, answer, () => join(call, options)),
    Renew: (call, answer) => carry(call, answer, () => renew(call, options)),
  };
}

async function join({ request }: Call, { joining }: JoinHandlersOptions): Promise<Issued | Fault> {
  const read = decodeMessage(JOIN_REQUEST, request);
  if (typeof read === 'string') return pushFault('push.protocol', `The request cannot be read: ${read}`);
  const { token, csr, facts } = read;
  const tooLarge =
    token.length > TOKEN_CHARS_MAX ||
    csr.length > CSR_BYTES_MAX ||
    facts.length > FACTS_MAX ||
    facts.some(({ name, value }) => name.length + value.length > FACT_CHARS_MAX);
  if (tooLarge) return pushFault('push.too-large', 'A request to join is too large');
  const said: Facts = Object.fromEntries(facts.map(({ name, value }) => [name, value]));
  return joining.join(token, Buffer.from(csr), said);
}

async function renew(call: Call, { joining, trustDomains }: JoinHandlersOptions): Promise<Issued | Fault> {
  const raw = call.getAuthContext().sslPeerCertificate?.raw;
  if (raw === undefined) return pushFault('push.unauthenticated', 'A renewal without a certificate');
  const identity = identityOf(new X509Certificate(raw), trustDomains);
  if (identity instanceof Fault) return identity;
  const read = decodeMessage(RENEW_REQUEST, call.request);
  if (typeof read === 'string') return pushFault('push.protocol', `The request cannot be read: ${read}`);
  if (read.csr.length > CSR_BYTES_MAX) return pushFault('push.too-large', 'A request to renew is too large');
  return joining.renew(identity, Buffer.from(read.csr));
}
