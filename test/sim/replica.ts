/** One of several control planes on one database is killed: its proxies go to the others, which know them already. */
import { comeBack } from './come-back.ts';
import type { FleetSize } from './fleet.ts';
import { Claims, type Flaws, type Outcome } from './scenario.ts';
import { World } from './world.ts';

/** Longer than what it said of its proxies counts: that they are somewhere else is known by then. */
const AFTER_MS = 70_000;

export async function replicaLost(size: FleetSize, { waits }: Flaws = {}): Promise<Outcome> {
  const claims = new Claims();
  const world = new World({ size, waits, controls: ['c0', 'c1', 'c2'] });
  await world.start();
  const wrong = world.wrong().length;
  claims.holds(wrong === 0, `${wrong} proxies serve another plan after the start`);
  world.kill('c1');
  // They learn of it.
  await world.run(10);
  const { figures, measured } = await comeBack(world, claims, () => Promise.resolve([...world.controls.values()]));
  await world.run(AFTER_MS);
  const lost = world.proxies.reduce((sum, proxy) => sum + proxy.lost, 0);
  claims.holds(lost === 0, `${lost} endpoints were taken from proxies when the lost one was forgotten`);
  return { figures, measured, broken: claims.broken };
}
