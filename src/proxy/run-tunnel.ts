import { Timed, type TimerWheel } from '../base/timers.ts';
import { joinTunnels, type Tunnel } from '../http/tunnel.ts';

/** How long a side that has not ended may be silent after the other has: a forgotten half would be held for ever. */
const HALF_CLOSED_MS = 60_000;

/**
 * Joins both sides of a switched connection until both have ended.
 *
 * @param onClosed  called once, with the bytes that the client and the upstream sent
 * @returns cuts both sides
 */
export function runTunnel(
  { client, upstream }: { readonly client: Tunnel; readonly upstream: Tunnel },
  wheel: TimerWheel,
  onClosed: (bytesFromClient: number, bytesFromUpstream: number) => void,
): () => void {
  const counts = { bytesFromClient: 0, bytesFromUpstream: 0 };
  const timer = new Timed(() => cut());
  let halfOpen = false;
  const cut = joinTunnels(client, upstream, counts, {
    onBytes: () => {
      if (halfOpen) wheel.arm(timer, HALF_CLOSED_MS);
    },
    onHalfOpen: () => {
      halfOpen = true;
      wheel.arm(timer, HALF_CLOSED_MS);
    },
    onClosed: () => {
      wheel.disarm(timer);
      onClosed(counts.bytesFromClient, counts.bytesFromUpstream);
    },
  });
  return cut;
}
