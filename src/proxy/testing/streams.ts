/** Plans and peers for tests of what is passed on below HTTP. */
import net from 'node:net';
import type { PlanCluster, PlanListener, PlanStream } from '../../ir/plan.ts';
import { clusterTo, LISTENER } from './node-harness.ts';

export const TCP_LISTENER: PlanListener = { ...LISTENER, stream: { kind: 'tcp' } };

/** A route for every host of listener `l`. */
export function streamTo(cluster: string, more: Partial<PlanStream> = {}): PlanStream {
  return {
    name: 'TCPRoute/d/r/0',
    createdMs: 1,
    attach: [{ listener: 'l', hosts: ['*'] }],
    backends: [{ cluster, weight: 1 }],
    ...more,
  };
}

export function streamCluster(ports: readonly number[], more: Partial<PlanCluster> = {}): PlanCluster {
  return clusterTo(ports, { stream: 'tcp', ...more });
}

/** A server of raw sockets on a free port. */
export async function listen(
  serve: (socket: net.Socket) => void,
): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function connect(port: number): net.Socket {
  return net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
}

/** What comes until the end, or the code of the error instead of it. */
export function readAll(socket: net.Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.on('data', (bytes) => (text += bytes.toString('latin1')));
    socket.on('end', () => resolve(text));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    socket.on('close', () => resolve(`${text} closed`));
  });
}
