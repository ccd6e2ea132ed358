/** Puts together what `fourways control` runs: a control plane whose proxies are all elsewhere. */
import { systemClock } from '../base/clock.ts';
import { ownVersion } from '../cli/version.ts';
import { NoProxies } from '../control/no-proxies.ts';
import { ControlPlane, type ControlSettings } from './control-plane.ts';
import { Metering } from './metering.ts';
import { type Running, RunningControl } from './running.ts';

/**
 * Resolves when proxies can have their plans.
 *
 * @throws {StartFailure} when it cannot: no configuration, a port taken, a store that does not open
 */
export async function startControl(settings: ControlSettings): Promise<Running> {
  await using cleanup = new AsyncDisposableStack();
  const versions = { own: ownVersion(), node: process.version };
  const metering = cleanup.adopt(new Metering(systemClock, versions), (opened) => opened.close());
  const proxies = new NoProxies();
  // What `*` stands for is known to each proxy alone.
  const surroundings = { proxies, serves: 'nothing', bind: '', metering } as const;
  const control = cleanup.use(await ControlPlane.make(settings, surroundings));
  await control.start();
  control.watch();
  return new RunningControl({ control, proxies, cleanup: cleanup.move() });
}
