import { createServer } from 'node:net';

/**
 * The address that stands for every address: `::` takes IPv4 as well, so one
 * socket serves both. Where the system has no IPv6, it is `0.0.0.0`.
 */
export function everyAddress(): Promise<string> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve('0.0.0.0'));
    server.listen({ host: '::', port: 0 }, () => server.close(() => resolve('::')));
  });
}
