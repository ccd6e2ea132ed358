/** Why connections cannot be captured. */
import { Fault, type FaultKind, faultKinds } from '../base/fault.ts';

const KINDS = faultKinds({
  'capture.nft-missing': {
    blame: 'client',
    retry: 'never',
    status: 0,
    grpc: 9,
    title: 'The program nft is not there',
    advice: 'Transparent capture is made of rules of nftables: apt-get install nftables. HTTP_PROXY needs none of it.',
  },
  'capture.refused': {
    blame: 'client',
    retry: 'never',
    status: 0,
    grpc: 7,
    title: 'The system does not take the rules of capture',
    advice:
      'Rules need root, or CAP_NET_ADMIN in the network namespace, and a kernel with nftables (nf_tables, nft_redir, nft_reject_inet).',
  },
  'capture.taken': {
    blame: 'client',
    retry: 'never',
    status: 0,
    grpc: 9,
    title: 'Another sidecar captures the same connections',
    advice: 'Run each application of a host as a user of its own, and say so to its sidecar: --user.',
  },
  'capture.no-port': {
    blame: 'gateway',
    retry: 'always',
    status: 0,
    grpc: 8,
    title: 'There is no free port for capture',
    advice: 'Captured services get ports of loopback from 15100 to 19999: see who listens there (ss -ltn).',
  },
});

export function captureFault(code: keyof typeof KINDS, detail: string): Fault {
  const kind: FaultKind = KINDS[code];
  return new Fault(kind, detail);
}
