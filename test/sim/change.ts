/** One endpoint comes or goes: who is told, what it costs, and how soon the last one serves it. */
import { type FleetSize, randomOf } from './fleet.ts';
import { Claims, type Outcome, quantile, rounded } from './scenario.ts';
import { World } from './world.ts';

const ROUNDS = 20;
const SETTLE_MS_MAX = 10_000;

/** Aim: visible everywhere. */
const VISIBLE_MS_MAX = 200;

export async function endpointChange(size: FleetSize): Promise<Outcome> {
  const claims = new Claims();
  const world = new World({ size });
  await world.start();
  claims.holds(world.wrong().length === 0, `${world.wrong().length} proxies serve another plan after the start`);
  const control = world.controls.get('c0')!;
  const random = randomOf(size.seed, 'change');
  const { network } = world;
  const { toProxies, toControl } = network;
  const visible: number[] = [];
  const told: number[] = [];
  let [bytes, messages] = [0, 0];
  const { work } = control;
  work.reset();
  for (let round = 0; round < ROUNDS; round++) {
    const caller = world.proxies[Math.floor(random.unit() * world.proxies.length)]!;
    const [name] = caller.options.place.uses.at(Math.floor(random.unit() * size.uses))!.split('.');
    const callers = world.proxies.filter(({ options }) => options.place.uses.some((use) => use.split('.')[0] === name));
    const was = { deltas: network.deltas, bytes: toProxies.bytes, messages: toProxies.messages + toControl.messages };
    const startMs = world.clock.nowMs();
    world.fleet.toggleEndpoint(name!, round % 2 === 0 ? 'comes' : 'goes');
    world.edited();
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    const tookMs = await world.settle(SETTLE_MS_MAX);
    claims.holds(tookMs !== -1, `change ${round} is not served everywhere after ${SETTLE_MS_MAX} ms`);
    visible.push(Math.max(...callers.map(({ appliedMs }) => appliedMs)) - startMs);
    told.push(network.deltas - was.deltas);
    bytes += toProxies.bytes - was.bytes;
    messages += toProxies.messages + toControl.messages - was.messages;
    claims.holds(
      told.at(-1) === callers.length,
      `change ${round}: ${told.at(-1)} proxies were told, ${callers.length} call it`,
    );
  }
  claims.holds(world.wrong().length === 0, 'a proxy serves another plan after the changes');
  claims.holds(world.strangers.length === 0, `somebody got what is of another identity: ${world.strangers[0]}`);
  visible.sort((a, b) => a - b);
  told.sort((a, b) => a - b);
  claims.holds(visible.at(-1)! <= VISIBLE_MS_MAX, `a change was visible everywhere after ${visible.at(-1)} ms only`);
  const { compile, publish } = work.tasks;
  return {
    figures: {
      changes: ROUNDS,
      'proxies told, median': quantile(told, 0.5),
      'proxies told, most': told.at(-1)!,
      'bytes for each proxy told': Math.round(bytes / told.reduce((sum, one) => sum + one, 0)),
      'messages for each proxy told': rounded(messages / told.reduce((sum, one) => sum + one, 0)),
      'visible everywhere, median (ms)': quantile(visible, 0.5),
      'visible everywhere, most (ms)': visible.at(-1)!,
    },
    measured: {
      'CPU of the control plane for each change (ms)': rounded(work.busyMs / ROUNDS),
      'of it to compile (ms)': rounded(compile.ms / ROUNDS),
      'of it to find and tell whom it is for (ms)': rounded(publish.ms / ROUNDS),
      'compile, most (ms)': rounded(compile.msMax),
      'longest turn of the control plane (ms)': rounded(work.turnMsMax),
    },
    broken: claims.broken,
  };
}
