/**
 * Asks whether we alone can have a port. Workers bind with `reusePort`, which
 * succeeds beside any other process of the same user that does so too: the
 * kernel would then split the traffic between the two, and nobody would be told.
 */
import { createSocket } from 'node:dgram';
import { createServer, isIPv6 } from 'node:net';
import { portKey } from '../ir/key.ts';
import type { PortFailure } from '../ir/port-state.ts';

import { portOwner } from './port-owner.ts';

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'address in use',
  EACCES: 'permission denied',
  EADDRNOTAVAIL: 'the address is not of this machine',
  EAFNOSUPPORT: 'the address family is not supported here',
  EINVAL: 'the address is not valid here',
  EMFILE: 'too many open files in this process',
  ENFILE: 'too many open files on this machine',
};

/** Binds the port without sharing it and lets go of it at once. @returns why that failed, if it did */
export function probePort(
  address: string,
  port: number,
  transport: 'tcp' | 'udp' = 'tcp',
): Promise<PortFailure | undefined> {
  return transport === 'udp' ? probeUdp(address, port) : probeTcp(address, port);
}

function probeUdp(address: string, port: number): Promise<PortFailure | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    socket.once('error', (error) => {
      socket.close();
      resolve(bindFailure(error, address, port));
    });
    socket.bind({ address, port, exclusive: true }, () => socket.close(() => resolve(undefined)));
  });
}

function probeTcp(address: string, port: number): Promise<PortFailure | undefined> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error) => resolve(bindFailure(error, address, port)));
    server.listen({ host: address, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

/** What the system said about a bind, in words. */
export function bindFailure(error: Error, address: string, port: number): PortFailure {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'UNKNOWN';
  const owner = code === 'EADDRINUSE' ? portOwner(port) : undefined;
  const by = owner === undefined ? '' : ` by process ${owner.pid} (${owner.name})`;
  const advice = code === 'EACCES' && port < 1_024 ? '; ports below 1024 need CAP_NET_BIND_SERVICE' : '';
  const message = `Cannot bind ${portKey(address, port)}: ${REASONS[code] ?? error.message}${by}${advice}`;
  return { state: 'failed', address, port, error: code, message };
}
