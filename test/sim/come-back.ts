/** Proxies that were cut come back, and what it costs. */
import type { ControlPlane } from './control-plane.ts';
import { RUSH_MS } from './network.ts';
import { type Claims, type Figures, quantile, rounded } from './scenario.ts';
import type { SimProxy } from './sim-proxy.ts';
import type { World } from './world.ts';

/** Of the fleet, in {@link RUSH_MS}: spread over two seconds it is a twentieth. */
const RUSH_SHARE_MAX = 0.15;

/** Connections that a proxy tries before it is let in, on average. */
const TRIES_MAX = 8;

/** What a proxy that has its plan already gets and says: the handshake, the hello, and what it reports. */
const BYTES_EACH_MAX = 16_000;

/** As many proxies are let in each second at least, once the first waits are over. */
const BACK_PER_S = 125;
/** The longest wait between two tries, and a little. */
const BACK_MS_LEAST = 35_000;

const SETTLE_MS_MAX = 300_000;

/**
 * Who is away now is back when this returns.
 *
 * @param cause  makes that they can come. Returns the control planes to which they do
 */
export async function comeBack(
  world: World,
  claims: Claims,
  cause: () => Promise<readonly ControlPlane[]>,
): Promise<{ readonly figures: Figures; readonly measured: Figures }> {
  const { network, clock, proxies } = world;
  const { toProxies, toControl } = network;
  const startMs = clock.nowMs();
  const before = {
    toProxies: toProxies.bytes,
    toControl: toControl.bytes,
    deltas: network.deltas,
    turnedAway: network.turnedAway,
    handshakes: network.handshakes,
  };
  const away = proxies.filter(({ isLive }) => !isLive);
  for (const proxy of proxies) proxy.forgetLosses();
  for (const { work } of world.controls.values()) work.reset();
  network.rushes.clear();
  network.startingMax = 0;
  const controls = await cause();
  const settledMs = await world.settle(SETTLE_MS_MAX);
  claims.holds(settledMs !== -1, `not everybody has the plan of now after ${SETTLE_MS_MAX / 1_000} s`);
  const wrong = world.wrong().length;
  claims.holds(wrong === 0, `${wrong} proxies serve another plan than that of now`);
  claims.holds(world.strangers.length === 0, `somebody got what is of another identity: ${world.strangers[0]}`);
  const n = away.length;
  const backMs = away.map(({ liveMs }) => liveMs - startMs).toSorted((a, b) => a - b);
  const rush = Math.max(0, ...network.rushes.values());
  const tries = [...network.rushes.values()].reduce((sum, one) => sum + one, 0);
  const bytes = { out: toProxies.bytes - before.toProxies, in: toControl.bytes - before.toControl };
  const lost = sum(proxies, ({ lost }) => lost);
  const emptied = sum(proxies, ({ emptied }) => emptied);
  claims.holds(
    rush <= n * RUSH_SHARE_MAX,
    `a herd: ${rush} of ${n} proxies came within ${RUSH_MS} ms, more than ${RUSH_SHARE_MAX * 100} %`,
  );
  claims.holds(tries <= n * TRIES_MAX, `${tries} connections were tried for ${n} proxies`);
  const backMsMax = BACK_MS_LEAST + (n * 1_000) / BACK_PER_S;
  claims.holds(backMs.at(-1)! <= backMsMax, `the last was back after ${backMs.at(-1)} ms, later than ${backMsMax}`);
  claims.holds(
    lost === 0,
    `${lost} endpoints were taken from proxies, although none was gone (${emptied} clusters empty)`,
  );
  const each = (bytes.out + bytes.in) / n;
  claims.holds(each <= BYTES_EACH_MAX, `${Math.round(each)} bytes went to and fro for each proxy`);
  return {
    figures: {
      'proxies that come back': n,
      'back, half of them (ms)': quantile(backMs, 0.5),
      'back, 99 % (ms)': quantile(backMs, 0.99),
      'back, all (ms)': backMs.at(-1)!,
      'all have the plan of now (ms)': settledMs,
      [`connections that came within ${RUSH_MS} ms, most`]: rush,
      'connections tried for each proxy': rounded(tries / n, 2),
      'turned away before TLS': network.turnedAway - before.turnedAway,
      handshakes: network.handshakes - before.handshakes,
      'streams that began at once, most': network.startingMax,
      'plans sent': network.deltas - before.deltas,
      'bytes to each proxy': Math.round(bytes.out / n),
      'bytes from each proxy': Math.round(bytes.in / n),
      'endpoints that were taken from proxies': lost,
      'clusters that became empty': emptied,
    },
    measured: measuredOf(controls, n),
  };
}

function measuredOf(controls: readonly ControlPlane[], n: number): Figures {
  const works = controls.map(({ work }) => work);
  const busyMs = works.reduce((all, one) => all + one.busyMs, 0);
  return {
    'CPU of the control planes (ms)': Math.round(busyMs),
    'CPU for each proxy (ms)': rounded(busyMs / n, 2),
    compiles: works.reduce((all, { tasks }) => all + tasks.compile.times, 0),
    'of it to compile (ms)': Math.round(works.reduce((all, { tasks }) => all + tasks.compile.ms, 0)),
    'longest turn of a control plane (ms)': rounded(Math.max(...works.map(({ turnMsMax }) => turnMsMax))),
  };
}

function sum(proxies: readonly SimProxy[], of: (proxy: SimProxy) => number): number {
  return proxies.reduce((all, proxy) => all + of(proxy), 0);
}
