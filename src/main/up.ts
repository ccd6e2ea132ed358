/**
 * Puts everything together that `fourways up` runs: a control plane, and the proxies of this process that serve all of
 * its Gateways.
 *
 * Knows nothing of signals, standard output and exit codes: tests and other
 * programs start gateways with it as well.
 */
import { systemClock } from '../base/clock.ts';
import type { LogLevel } from '../base/log.ts';
import { ownVersion } from '../cli/version.ts';
import { everyAddress } from './bind-address.ts';
import { ControlPlane, type ControlSettings } from './control-plane.ts';
import { Metering } from './metering.ts';
import { type Running, RunningControl } from './running.ts';
import { startFleet } from './start-fleet.ts';

export interface UpSettings extends ControlSettings {
  /** Address for Gateways that name none; undefined for every address. */
  readonly bind: string | undefined;
  /** Zone that this host is in: `eu/a`. */
  readonly zone?: string;
  /** Number of worker threads; 0 for a proxy in the main thread. */
  readonly workers: number;
  /** How long keys for TLS session tickets seal new ones. */
  readonly ticketKeysMs: number;
  /** Redis that all proxies share, with its password; absent for none. */
  readonly redisUrl?: string | undefined;
  /** `shared`: bind beside another process that is taken over. */
  readonly ports: 'alone' | 'shared';
  /** How long listeners that are removed may still serve what runs there. */
  readonly drainMs: number;
  readonly logLevel: LogLevel;
  /** Writes lines of the access log; rejects when they are lost. */
  readonly writeLines: (text: string) => Promise<void>;
}

/**
 * Starts a gateway. Resolves when every worker serves the configuration.
 *
 * @throws {StartFailure} when it cannot: no configuration, the admin address or every port taken
 */
export async function up(settings: UpSettings): Promise<Running> {
  await using cleanup = new AsyncDisposableStack();
  const bind = settings.bind ?? (await everyAddress());
  const versions = { own: ownVersion(), node: process.version };
  const metering = cleanup.adopt(new Metering(systemClock, versions), (opened) => opened.close());
  const { fleet, share } = await startFleet(settings, {
    bind,
    metering,
    cleanup,
    clock: systemClock,
    onPorts: (ports) => control.portsChanged(ports),
    onFailing: () => control.restate(),
  });
  const control = cleanup.use(
    await ControlPlane.make(settings, { proxies: fleet, serves: 'gateways', bind, metering }),
  );
  await control.start();
  share('alone');
  control.watch();
  return new RunningControl({ control, proxies: fleet, cleanup: cleanup.move() });
}
