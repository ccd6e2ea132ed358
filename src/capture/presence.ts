/**
 * Who is there: an abstract Unix socket for each table. It is of the network namespace, as the table is, and is gone with
 * its process however that ends: so nobody takes the table of a sidecar that runs, and everybody knows a table that was left behind.
 */
import { connect, createServer, type Server } from 'node:net';

/** @returns undefined when another process has it */
export async function claimPresence(table: string): Promise<Server | undefined> {
  const server = createServer((socket) => socket.destroy());
  const { promise, resolve } = Promise.withResolvers<Server | undefined>();
  server.once('error', () => resolve(undefined));
  server.listen({ path: pathOf(table) }, () => resolve(server));
  return promise;
}

export function isPresent(table: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ path: pathOf(table) });
  socket.once('connect', () => resolve(true));
  // One that is there and busy refuses with EAGAIN.
  socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT'));
  return promise.finally(() => socket.destroy());
}

/** unix(7): a name that begins with a zero byte is in no file system. */
function pathOf(table: string): string {
  return `\0${table}`;
}
