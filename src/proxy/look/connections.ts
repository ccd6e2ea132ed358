/**
 * The topic `connections`: every live connection, who has shown whom which certificate, and what is in clear text and why.
 * Read from the sockets when somebody asks, in slices, so that ten thousand of them do not hold up a request.
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import type { Asker } from '../../base/asking.ts';
import { type ConnectionKind, type ConnectionRow, CONNECTION_ROWS_MAX } from '../../ir/connection.ts';
import { portKey } from '../../ir/key.ts';
import type { PlanCluster } from '../../ir/plan.ts';
import { plainIp } from '../../net/read-buffer.ts';
import { peerCertificateOf } from '../../net/tls-client.ts';
import type { LiveClient } from '../bound-port.ts';
import type { PortView } from '../runtime.ts';
import type { LiveUpstream } from '../upstream/live-upstreams.ts';
import { tlsFactsOf } from './tls-facts.ts';

/** Certificates and keys are read for so many between two turns: some 3 ms. */
const SLICE_ROWS = 32;

export interface ConnectionSources {
  /** All workers of the proxy share its bound on rows. */
  readonly workers: number;
  readonly nowMs: () => number;
  readonly clients: () => Iterable<readonly [PortView, Iterable<LiveClient & { readonly requests: number }>]>;
  readonly upstreams: () => Iterable<readonly [Duplex, LiveUpstream]>;
  readonly clusterPlan: (key: string) => PlanCluster | undefined;
}

/** A connection before anything that costs time was read of it. */
interface Found {
  readonly socket: Duplex;
  readonly sinceMs: number;
  readonly row: Omit<ConnectionRow, 'local' | 'remote' | 'openMs' | 'tls'>;
}

/** @returns takes it back */
export function answerConnections(sources: ConnectionSources, asker: Asker): () => void {
  const found = [...clientsOf(sources), ...upstreamsOf(sources)].toSorted((a, b) => b.sinceMs - a.sinceMs);
  const counts: Record<ConnectionKind, number> = { mtls: 0, tls: 0, clear: 0, local: 0, unread: 0 };
  for (const { row } of found) counts[row.kind]++;
  const open = openPorts(sources);
  const newest = found.slice(0, Math.ceil(CONNECTION_ROWS_MAX / sources.workers));
  let at = 0;
  let next: NodeJS.Immediate | undefined;
  const slice = (): void => {
    const part = newest.slice(at, at + SLICE_ROWS);
    at += SLICE_ROWS;
    const rows = part.flatMap((one) => rowOf(one, sources.nowMs()) ?? []);
    if (at < newest.length) {
      next = setImmediate(slice);
      return asker.answer({ rows }, 0);
    }
    asker.answer({ rows, counts, open }, 0);
    asker.end({ kind: 'done' });
  };
  slice();
  return () => clearImmediate(next);
}

/** Where clear text is taken for a service: every host of such a port leads to one listener. */
function openPorts({ clients }: ConnectionSources): string[] {
  const keys = [...clients()].map(([view]) => view.listeners.find('*')?.key ?? '');
  return keys.filter((key) => key.startsWith('Inbound/') && key.endsWith('@clear'));
}

function* clientsOf({ clients }: ConnectionSources): Generator<Found> {
  for (const [view, conns] of clients()) {
    for (const { socket, facts, requests, sinceMs } of conns) {
      // Inside of a tunnel of ours: the socket is that of the tunnel.
      const listener = view.listeners.find(facts.serverName) ?? view.listeners.find('*');
      const isVerified = facts.clientCertificate !== undefined;
      const part = listener?.key ?? '';
      yield {
        socket,
        sinceMs,
        row: { direction: 'in', part, requests, ...inKind({ view, part, socket, isVerified }) },
      };
    }
  }
}

type Kind = Pick<ConnectionRow, 'kind' | 'why' | 'isMesh'>;

interface Accepted {
  readonly view: PortView;
  readonly part: string;
  readonly socket: Duplex;
  readonly isVerified: boolean;
}

function inKind({ view, part, socket, isVerified }: Accepted): Kind {
  const isMesh = part.startsWith('Inbound/');
  if (socket instanceof TLSSocket) {
    if (isVerified) return { kind: 'mtls', isMesh };
    return { kind: 'tls', why: 'the listener asks its clients for no certificate', isMesh };
  }
  const { remoteAddress } = socket as Socket;
  const isForApplication = view.plan.protocol === 'proxy' || part.endsWith('@local');
  if (isForApplication && isLoopback(remoteAddress))
    return { kind: 'local', why: 'from the application', isMesh: false };
  if (isForApplication) return { kind: 'clear', why: 'from another host to a port for the application', isMesh: true };
  if (part.endsWith('@clear')) return { kind: 'clear', why: 'the port is permissive', isMesh };
  if (view.plan.protocol === 'tls') return { kind: 'unread', why: 'TLS that is passed on', isMesh };
  return { kind: 'clear', why: 'the listener has no TLS', isMesh };
}

function* upstreamsOf({ upstreams, clusterPlan }: ConnectionSources): Generator<Found> {
  for (const [socket, { cluster, conn, sinceMs, speech }] of upstreams()) {
    const kind = outKind(socket, { cluster, speech, plan: clusterPlan(cluster) });
    yield { socket, sinceMs, row: { direction: 'out', part: cluster, requests: conn.requests, ...kind } };
  }
}

interface Opened {
  readonly cluster: string;
  readonly speech: LiveUpstream['speech'];
  readonly plan: PlanCluster | undefined;
}

function outKind(socket: Duplex, { cluster, speech, plan }: Opened): Kind {
  if (cluster.startsWith('Inbound/')) return { kind: 'local', why: 'to the application', isMesh: false };
  const isMesh = cluster.startsWith('Service/') || cluster.startsWith('Workload/');
  if (socket instanceof TLSSocket) {
    // Without a certificate of ours the other end does not know who asks.
    if (socket.getX509Certificate() !== undefined) return { kind: 'mtls', isMesh };
    return { kind: 'tls', why: 'no certificate is shown to this upstream', isMesh };
  }
  if (speech === 'clear') return { kind: 'clear', why: 'the endpoint has no sidecar', isMesh };
  const why =
    plan?.tls === undefined
      ? 'the endpoint has no sidecar, and no policy asks for TLS'
      : 'it was opened before its cluster had TLS';
  return { kind: 'clear', why, isMesh };
}

function rowOf({ socket, sinceMs, row }: Found, nowMs: number): ConnectionRow | undefined {
  // It may have ended between two slices.
  if (socket.destroyed) return undefined;
  const { localAddress, localPort, remoteAddress, remotePort } = socket as Socket;
  if (remoteAddress === undefined) return undefined;
  const base = {
    ...row,
    local: portKey(plainIp(localAddress), localPort ?? 0),
    remote: portKey(plainIp(remoteAddress), remotePort ?? 0),
    openMs: Math.round(nowMs - sinceMs),
  };
  if (!(socket instanceof TLSSocket)) return base;
  const isKnown = row.direction === 'out' || row.kind === 'mtls';
  return { ...base, tls: tlsFactsOf(socket, isKnown ? peerCertificateOf(socket) : undefined) };
}

function isLoopback(address: string | undefined): boolean {
  const plain = plainIp(address);
  return plain.startsWith('127.') || plain === '::1';
}
