import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below those that systems give to outgoing connections and to whoever asks for any port; browsers and fetch refuse 10080. */
const PORTS = { from: 11_000, count: 21_000 };

const givenPorts = new Set<number>();

/** A port that was free a moment ago on this address, and was given to nobody else here. */
export async function freePort(host: string): Promise<number> {
  for (;;) {
    const port = PORTS.from + Math.floor(Math.random() * PORTS.count);
    if (givenPorts.has(port)) continue;
    givenPorts.add(port);
    const server = createServer().listen(port, host);
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    await once(server.close(), 'close');
    return port;
  }
}
