/** The root is rotated as fast as can be while everybody is at work, and one proxy is cut off at first. */
import type { PlanBundle } from '../../src/ir/plan.ts';
import type { FleetSize } from './fleet.ts';
import { RUSH_MS } from './network.ts';
import { Claims, type Outcome, rounded } from './scenario.ts';
import type { SimProxy } from './sim-proxy.ts';
import { World } from './world.ts';

/** Nothing may go on without it so long. */
const CUT_OFF_MS = 20_000;
const STEP_MS = 500;

/** From the moment at which the last one is there again. */
const ROTATION_MS_LEAST = 120_000;
/** For each proxy: twice as long as they are spread over. */
const ROTATION_MS_EACH = 10;

/** Of one rotation: two lists of roots and a certificate; and two plans, in which the roots stand beside each service that is called. */
const BYTES_EACH_MAX = 12_000;
const BYTES_EACH_USE_MAX = 6_000;

export async function rootRotation(size: FleetSize): Promise<Outcome> {
  const claims = new Claims();
  const world = new World({ size });
  const trust = new Trust(world);
  await world.start();
  const { network, authority, clock, proxies } = world;
  const n = proxies.length;
  claims.holds(authority.behind === 0, `${authority.behind} holders did not say what they trust at the start`);
  const old = authority.state.active.root;
  const control = world.controls.get('c0')!;
  control.work.reset();
  network.rushes.clear();
  const before = {
    toProxies: network.toProxies.bytes,
    toControl: network.toControl.bytes,
    deltas: network.deltas,
    issued: authority.issued,
    turnedAway: network.turnedAway,
  };
  const startMs = clock.nowMs();
  proxies[0]!.reach('off');
  authority.rotate();
  let othersMs = -1;
  while (clock.nowMs() - startMs < CUT_OFF_MS) {
    // oxlint-disable-next-line no-await-in-loop -- one look after the other
    await world.run(STEP_MS);
    if (othersMs === -1 && authority.behind === 1) othersMs = clock.nowMs() - startMs;
  }
  claims.holds(authority.state.rotation?.phase === 'spread', 'the rotation went on without the proxy that was cut off');
  proxies[0]!.reach('on');
  const endMs = clock.nowMs() + ROTATION_MS_LEAST + n * ROTATION_MS_EACH;
  // oxlint-disable-next-line no-await-in-loop -- one look after the other
  while (authority.state.rotation !== undefined && clock.nowMs() < endMs) await world.run(STEP_MS);
  const phase = authority.state.rotation?.phase;
  claims.holds(phase === undefined, `the rotation is not over after ${endMs - startMs} ms: it is in "${phase}"`);
  await world.settle(10_000);
  const leftOut = proxies.filter(({ member }) => member?.root === old || member?.trust.roots.length !== 1).length;
  claims.holds(leftOut === 0, `${leftOut} proxies are left out: they have the old certificate, or trust the old root`);
  claims.holds(world.wrong().length === 0, `${world.wrong().length} proxies serve another plan than that of now`);
  claims.holds(
    trust.flaws === 0,
    `${trust.flaws} times somebody showed a certificate that somebody else did not trust: ${trust.first}`,
  );
  claims.holds(world.strangers.length === 0, `somebody got what is of another identity: ${world.strangers[0]}`);
  const rush = Math.max(0, ...network.rushes.values());
  const turnedAway = network.turnedAway - before.turnedAway;
  claims.holds(turnedAway === 0, `a herd: ${turnedAway} connections for a certificate were turned away`);
  const [out, into] = [network.toProxies.bytes - before.toProxies, network.toControl.bytes - before.toControl];
  claims.holds(
    out + into <= (BYTES_EACH_MAX + BYTES_EACH_USE_MAX * size.uses) * n,
    `${Math.round((out + into) / n)} bytes went to and fro for each proxy`,
  );
  return {
    figures: {
      'both roots are trusted by all that can be reached (ms)': othersMs,
      [`by the one too that was cut off for ${CUT_OFF_MS} ms (ms)`]: authority.phaseMs.spread ?? -1,
      'all have a new certificate (ms)': authority.phaseMs.renew ?? -1,
      'the old root is trusted by nobody (ms)': authority.phaseMs.withdraw ?? -1,
      'rounds of trust for each proxy': rounded(trust.told / n, 2),
      'plans sent for each proxy': rounded((network.deltas - before.deltas) / n, 2),
      'certificates for each proxy': rounded((authority.issued - before.issued) / n, 2),
      [`connections that came within ${RUSH_MS} ms, most`]: rush,
      'turned away before TLS': turnedAway,
      'bytes to each proxy': Math.round(out / n),
      'bytes from each proxy': Math.round(into / n),
    },
    measured: {
      'CPU of the control plane (ms)': Math.round(control.work.busyMs),
      'CPU for each proxy (ms)': rounded(control.work.busyMs / n, 2),
      'longest turn of the control plane (ms)': rounded(control.work.turnMsMax),
    },
    broken: claims.broken,
  };
}

/** Whether at every moment every certificate that is shown is trusted by everybody that serves. */
class Trust {
  flaws = 0;
  first = '';
  /** Times that a proxy took another list of roots. */
  told = 0;
  /** Certificates in use, by their root. */
  readonly #shown = new Map<string, number>();
  /** Plans that are served, by the roots that they trust. */
  readonly #trusted = new Map<string, number>();
  readonly #served = new Map<SimProxy, ReadonlySet<string>>();
  readonly #found = new WeakMap<object, ReadonlySet<string>>();

  constructor(world: World) {
    world.onLeaf = (before, now) => {
      add(this.#shown, now, 1);
      // The first one of all: nobody has seen it yet.
      if (before === undefined) return;
      add(this.#shown, before, -1);
      const by = this.#trusted.get(now) ?? 0;
      if (by < world.proxies.length) this.#flaw(`"${now.slice(0, 5)}" is shown and trusted by ${by}`);
    };
    world.onApplied = (proxy, bundle) => this.#applied(proxy, this.#rootsIn(bundle));
  }

  #applied(proxy: SimProxy, roots: ReadonlySet<string>): void {
    const before = this.#served.get(proxy);
    if (before !== undefined && before.size !== roots.size) this.told++;
    this.#served.set(proxy, roots);
    for (const root of roots) if (before?.has(root) !== true) add(this.#trusted, root, 1);
    for (const root of before ?? []) {
      if (roots.has(root)) continue;
      add(this.#trusted, root, -1);
      const shown = this.#shown.get(root) ?? 0;
      if (shown > 0) this.#flaw(`${proxy.instance} does not trust "${root.slice(0, 5)}", which ${shown} show`);
    }
  }

  #flaw(what: string): void {
    this.flaws++;
    this.first ||= what;
  }

  /** Those that each part trusts which trusts any. */
  #rootsIn({ plan }: PlanBundle): ReadonlySet<string> {
    const all = [...Object.values(plan.ports), ...Object.values(plan.clusters)].map((part) => this.#rootsOf(part));
    const some = all.filter(({ size }) => size > 0);
    return some.reduce((left, right) => left.intersection(right), some[0] ?? new Set());
  }

  #rootsOf(part: object): ReadonlySet<string> {
    let roots = this.#found.get(part);
    if (roots === undefined) {
      roots = new Set(JSON.stringify(part).match(/root\d+0+/g) ?? []);
      this.#found.set(part, roots);
    }
    return roots;
  }
}

function add(counts: Map<string, number>, key: string, by: number): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}
