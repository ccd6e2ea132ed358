/** Reads the PROXY protocol header at the beginning of an accepted connection, before anything else is made of it. */
import type net from 'node:net';
import { CidrSet } from '../base/cidr.ts';
import { Timed, type TimerWheel } from '../base/timers.ts';
import type { PlanProxyProtocol } from '../ir/plan.ts';
import { type ProxyHeader, type ProxyRead, readProxyHeader } from '../net/proxy-protocol.ts';

/** What became of a header, for metrics: a closed list. */
export type ProxyResult = 'v1' | 'v2' | 'local' | 'absent' | ProxyRefusal;

/** Why a connection was closed instead. */
export type ProxyRefusal = 'untrusted' | 'malformed' | 'missing' | 'timeout' | 'aborted';

export interface ProxyIntakeOptions {
  readonly plan: PlanProxyProtocol;
  readonly wheel: TimerWheel;
  readonly timeoutMs: number;
  /** The rest of what has arrived was put back into the socket, which is paused. */
  onReady(header: ProxyHeader | undefined, result: ProxyResult): void;
  /** The socket is closed already. */
  onRefused(refusal: ProxyRefusal, detail: string): void;
}

const trusted = new WeakMap<PlanProxyProtocol, CidrSet>();

/** Compiled once for each plan. */
function trustedBy(plan: PlanProxyProtocol): CidrSet {
  let set = trusted.get(plan);
  if (set === undefined) trusted.set(plan, (set = new CidrSet(plan.trustedPeers)));
  return set;
}

/** @param peerIp  of the socket. Nobody has read from it yet. */
export function readProxyIntake(socket: net.Socket, peerIp: string, options: ProxyIntakeOptions): void {
  const { plan, wheel, timeoutMs } = options;
  let bytes: Buffer = Buffer.alloc(0);
  const detach = (): void => {
    wheel.disarm(timer);
    socket.off('data', onData);
    socket.off('end', onGone);
    socket.off('close', onGone);
  };
  const refuse = (refusal: ProxyRefusal, detail: string): void => {
    detach();
    socket.destroy();
    options.onRefused(refusal, detail);
  };
  const timer = new Timed(() => refuse('timeout', `No header within ${timeoutMs} ms`));
  const pass = (header: ProxyHeader | undefined, rest: Buffer): void => {
    detach();
    socket.pause();
    if (rest.length > 0) socket.unshift(rest);
    socket.off('error', ignore);
    options.onReady(
      header,
      header === undefined ? 'absent' : header.command === 'local' ? 'local' : `v${header.version}`,
    );
  };
  const judge = (read: ProxyRead): void => {
    if (read.kind === 'more') return;
    if (read.kind === 'absent') {
      if (plan.mode === 'required') return refuse('missing', 'The connection does not begin with a header');
      return pass(undefined, bytes);
    }
    // What is said does not matter then, nor whether it is well said.
    if (!trustedBy(plan).has(peerIp)) return refuse('untrusted', 'The peer is not among trustedPeers');
    if (read.kind === 'malformed') return refuse('malformed', read.why);
    pass(read.header, bytes.subarray(read.bytes));
  };
  const onData = (piece: Buffer): void => {
    bytes = bytes.length === 0 ? piece : Buffer.concat([bytes, piece]);
    judge(readProxyHeader(bytes));
  };
  const onGone = (): void => refuse('aborted', 'The client closed the connection within its header');
  if (timeoutMs > 0) wheel.arm(timer, timeoutMs);
  socket.on('error', ignore);
  socket.on('data', onData);
  socket.on('end', onGone);
  socket.on('close', onGone);
  socket.resume();
}

const ignore = (): void => undefined;
