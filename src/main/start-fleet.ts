/** Starts the proxies of this process. */
import type { Clock } from '../base/clock.ts';
import { Fleet } from '../control/fleet.ts';
import type { PortStates } from '../ir/port-state.ts';
import type { AskForService } from '../proxy/forward-proxy.ts';
import type { Metering } from './metering.ts';
import { probePort } from './port-probe.ts';
import type { UpSettings } from './up.ts';
import { Workers } from './workers.ts';

/** What the proxies of this process are started with. */
export type FleetSettings = Pick<
  UpSettings,
  'zone' | 'workers' | 'ticketKeysMs' | 'redisUrl' | 'ports' | 'drainMs' | 'log' | 'logLevel' | 'writeLines'
>;

export interface FleetParts {
  readonly clock: Clock;
  readonly bind: string;
  readonly metering: Metering;
  readonly cleanup: AsyncDisposableStack;
  readonly askForService?: AskForService;
  readonly onPorts: (ports: PortStates) => void;
  readonly onFailing: () => void;
}

/** All proxies of this process as one. `share` says whether another process may hold their ports. */
export async function startFleet(
  settings: FleetSettings,
  { bind, metering, cleanup, clock, askForService, onPorts, onFailing }: FleetParts,
): Promise<{ readonly fleet: Fleet; readonly share: (ports: UpSettings['ports']) => void }> {
  const { log, logLevel, zone = '', drainMs, ticketKeysMs, redisUrl, writeLines } = settings;
  const workers = cleanup.adopt(
    await Workers.make({
      count: settings.workers,
      bind,
      zone,
      drainMs,
      ticketKeysMs,
      redisUrl,
      clock,
      log,
      logLevel,
      metering,
      writeLines,
      askForService,
    }),
    (opened) => opened.close(),
  );
  let { ports } = settings;
  const fleet = new Fleet({
    size: Math.max(1, settings.workers),
    start: (worker) => workers.start(worker),
    probe: async ({ address, port, protocol }) =>
      ports === 'shared'
        ? undefined
        : probePort(address === '*' ? bind : address, port, protocol === 'udp' ? 'udp' : 'tcp'),
    clock,
    log,
    onPorts,
    onFailing,
  });
  cleanup.adopt(fleet, (opened) => opened.end());
  return { fleet, share: (now) => (ports = now) };
}
