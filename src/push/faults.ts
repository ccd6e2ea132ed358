/** How a stream, a join or the copy on disk fails. `grpc` is the status that the other end is told. */
import { Fault, type FaultKind, faultKinds } from '../base/fault.ts';

export const PUSH_FAULTS = faultKinds({
  'push.unauthenticated': {
    blame: 'client',
    retry: 'never',
    status: 0,
    grpc: 16,
    title: 'No identity was shown',
    advice:
      'The certificate is missing, not of a trusted root, expired, or carries no single SPIFFE ID of the trust domain.',
  },
  'push.identity-refused': {
    blame: 'client',
    retry: 'never',
    status: 0,
    grpc: 7,
    title: 'The identity has no right to this',
    advice:
      'A proxy asked for the plan of another identity, or its own is denied. The log of the control plane names both.',
  },
  'push.protocol': {
    blame: 'client',
    retry: 'always',
    status: 0,
    grpc: 3,
    title: 'A message does not belong where it came',
    advice: 'The two ends do not speak the same protocol: compare the versions of the proxy and the control plane.',
  },
  'push.damaged': {
    blame: 'gateway',
    retry: 'always',
    status: 0,
    grpc: 15,
    title: 'What arrived is not what was sent',
    advice: 'A part of the plan does not have its hash. The stream is opened anew and the difference sent again.',
  },
  'push.too-large': {
    blame: 'client',
    retry: 'never',
    status: 0,
    grpc: 8,
    title: 'More was sent than is taken',
    advice: 'The log names the bound. A plan or a list of subscriptions is larger than any that is meant to be.',
  },
  'push.silent': {
    blame: 'client',
    retry: 'always',
    status: 0,
    grpc: 4,
    title: 'The other end did not answer in time',
    advice: 'The proxy or the control plane hangs, or the network between them loses what is sent.',
  },
  'push.busy': {
    blame: 'gateway',
    retry: 'always',
    status: 0,
    grpc: 8,
    title: 'Too many proxies begin at the same time',
    advice: 'They come back by themselves, spread out. Add a control plane if it goes on.',
  },
  'push.away': {
    blame: 'dependency',
    retry: 'always',
    status: 0,
    grpc: 14,
    title: 'The control plane is away',
    advice:
      'It cannot be reached, is not who it should be, or ended the stream; the proxy goes on with the plan it has.',
  },
  'push.closed': {
    blame: 'gateway',
    retry: 'always',
    status: 0,
    grpc: 14,
    title: 'The stream was ended on purpose',
    advice:
      'The control plane shuts down, another stream of the same instance has taken over, or the certificate that began the ' +
      'stream is over: the proxy comes back with the one that it has now.',
  },
  'push.join-refused': {
    blame: 'client',
    retry: 'never',
    status: 0,
    grpc: 7,
    title: 'The proxy may not join',
    advice: 'The token is used up, expired or not for this; the log of the control plane says which.',
  },
  'push.join-failed': {
    blame: 'dependency',
    retry: 'always',
    status: 0,
    grpc: 14,
    title: 'A certificate could not be issued',
    advice: 'The authority or its store failed; the log of the control plane says how. The proxy tries again.',
  },
  'push.copy-unusable': {
    blame: 'gateway',
    retry: 'never',
    status: 0,
    grpc: 13,
    title: 'The plan on disk cannot be used',
    advice:
      'The file was changed, cut off, sealed with another key or written by another version. It is replaced with the next plan.',
  },
});

export type PushFaultCode = keyof typeof PUSH_FAULTS;

export function pushFault(code: PushFaultCode, detail: string): Fault {
  return new Fault(PUSH_FAULTS[code], detail);
}

/** The fault that the other end ended the stream with, read from what it wrote; else that it is away. */
export function faultOfPeer(words: string): Fault {
  const [, code, detail] = /^(push\.[a-z-]+): (.*)$/s.exec(words) ?? [];
  const kind: FaultKind | undefined = code === undefined ? undefined : PUSH_FAULTS[code as PushFaultCode];
  return kind === undefined ? pushFault('push.away', words) : new Fault(kind, detail!);
}

/** How the other end is told. */
export function wordsOf({ code, detail }: Fault): string {
  return `${code}: ${detail}`;
}
