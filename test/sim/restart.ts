/** The only control plane is killed and comes back: everybody was cut at one moment, and nobody may lose anything by it. */
import type { FleetSize } from './fleet.ts';
import { comeBack } from './come-back.ts';
import { Claims, type Flaws, type Outcome } from './scenario.ts';
import { World } from './world.ts';

/** How long it is away. */
const AWAY_MS = 5_000;

export async function controlRestart(size: FleetSize, { waits }: Flaws = {}): Promise<Outcome> {
  const claims = new Claims();
  const world = new World({ size, waits });
  await world.start();
  world.kill('c0');
  await world.run(AWAY_MS);
  const { figures, measured } = await comeBack(world, claims, async () => [await world.startControl('c0')]);
  return { figures, measured, broken: claims.broken };
}
