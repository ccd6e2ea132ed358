/**
 * The authority of a simulated mesh: the real state machine of rotations and the real pace of renewals, over certificates
 * that are nothing but their names. Whoever counts as a holder does so as in the store.
 */
import type { Random } from '../../src/base/random.ts';
import { type Acknowledgement, HOLDERS_NAMED_MAX } from '../../src/identity/authority-store.ts';
import { leafLife, renewSoonAtMs } from '../../src/identity/renewal.ts';
import {
  begun,
  finished,
  nextMove,
  type Pair,
  type Phase,
  retired,
  type RotationFacts,
  type RotationState,
  switched,
  trustedRoots,
} from '../../src/identity/rotation.ts';
import { RENEW, renewWish, renewWithinMs } from '../../src/push/renew-wish.ts';
import { RENEW_AGAIN_MS, renewSpreadMs } from '../../src/control/trust-turner.ts';
import type { CertificateReport, TrustBundle, Wish } from '../../src/push/messages.ts';
import type { Network } from './network.ts';
import type { SimProxy } from './sim-proxy.ts';

const LEAF_MS = 24 * 3_600_000;

/** How often it is looked at while a rotation runs. */
const TURN_MS = 500;

/** Of a request for a certificate, and of the answer with it. */
const RENEWAL_BYTES = { request: 900, answer: 3_500 };

interface Leaf {
  readonly serial: string;
  readonly issuer: string;
  bundle: string;
}

export interface AuthorityEvents {
  /** The bundle is another one: every control plane tells its proxies. */
  onTrust(bundle: TrustBundle): void;
  onWish(wish: Wish, instances?: ReadonlySet<string>): void;
  /** A proxy shows another certificate from now on. */
  onLeaf(before: string | undefined, now: string): void;
}

export class SimAuthority {
  state: RotationState = { active: pairOf(0), former: [] };
  bundle: TrustBundle = bundleOf(this.state);
  /** How long each phase of the last rotation took. */
  readonly phaseMs: Partial<Record<Phase, number>> = {};
  issued = 0;
  /** Those that count, by the proxy that has them, oldest first. */
  readonly #leaves = new Map<string, Leaf[]>();
  readonly #renewals = new Map<SimProxy, () => void>();
  readonly #network: Network;
  readonly #random: Random;
  readonly #events: AuthorityEvents;
  #wishedMs: number | undefined;
  #pairs = 0;

  constructor(network: Network, random: Random, events: AuthorityEvents) {
    this.#network = network;
    this.#random = random;
    this.#events = events;
  }

  /** A proxy begins with a certificate. */
  admit(proxy: SimProxy): void {
    this.#certify(proxy);
  }

  rotate(): void {
    this.state = { ...this.state, asked: 'root', pace: 'at-once' };
    this.#turn();
  }

  acknowledge({ proxy, serial, bundle }: Acknowledgement): void {
    const leaves = this.#leaves.get(proxy) ?? [];
    const at = leaves.findIndex((leaf) => leaf.serial === serial);
    if (at === -1) return;
    leaves[at]!.bundle = bundle;
    // Its older certificates do not count any more.
    leaves.splice(0, at);
  }

  /** Holders of a certificate that have not said that all of them works by the bundle of now. */
  get behind(): number {
    return this.#facts().behind;
  }

  told(proxy: SimProxy, bundle: TrustBundle): void {
    const { member } = proxy;
    if (member === undefined) return;
    const before = member.trust;
    proxy.become({ ...member, trust: bundle });
    if (bundle.issuer === before.issuer) return;
    const nowMs = this.#network.clock.wallMs();
    this.#renewIn(proxy, renewSoonAtMs(leafLife(nowMs + LEAF_MS, LEAF_MS), nowMs, this.#random) - nowMs);
  }

  wished(proxy: SimProxy, { name, body }: Wish): void {
    if (name === RENEW) this.#renewIn(proxy, renewWithinMs(body) * this.#random.unit());
  }

  #renewIn(proxy: SimProxy, ms: number): void {
    this.#renewals.get(proxy)?.();
    this.#renewals.set(
      proxy,
      this.#network.clock.after(ms, () => {
        this.#renewals.delete(proxy);
        proxy.call(RENEWAL_BYTES, (result) => {
          if (result === 'answered') this.#certify(proxy);
          // As after a first failure.
          else this.#renewIn(proxy, (LEAF_MS / 2_000) * (0.5 + this.#random.unit() / 2));
        });
      }),
    );
  }

  #certify(proxy: SimProxy): void {
    const { issuer } = this.state.active;
    const serial = (++this.issued).toString(16).padStart(40, '0');
    const leaves = this.#leaves.get(proxy.instance) ?? [];
    leaves.push({ serial, issuer, bundle: '' });
    this.#leaves.set(proxy.instance, leaves);
    const before = proxy.member?.root;
    const notAfterMs = this.#network.clock.wallMs() + LEAF_MS;
    proxy.become({ root: this.state.active.root, serial, notAfterMs, trust: this.bundle });
    this.#events.onLeaf(before, this.state.active.root);
  }

  /** As far as it goes now. */
  #turn(): void {
    const { clock } = this.#network;
    for (;;) {
      const nowMs = clock.wallMs();
      const move = nextMove(this.state, this.#facts());
      if (move.does === 'wait' || move.does === 'rest' || move.does === 'forget') break;
      const { rotation } = this.state;
      if (rotation !== undefined) this.phaseMs[rotation.phase] = nowMs - rotation.sinceMs;
      if (move.does === 'make') this.state = begun(this.state, pairOf(++this.#pairs), nowMs);
      else if (move.does === 'switch') this.state = switched(this.state, nowMs);
      else if (move.does === 'retire') this.state = retired(this.state, nowMs);
      else this.state = finished(this.state);
      this.#tell();
    }
    if (this.state.rotation === undefined) return;
    this.#hurry(this.state.rotation.phase);
    clock.after(TURN_MS, () => this.#turn());
  }

  #tell(): void {
    const bundle = bundleOf(this.state);
    if (bundle.hash === this.bundle.hash && bundle.issuer === this.bundle.issuer) return;
    this.bundle = bundle;
    this.#events.onTrust(bundle);
  }

  #hurry(phase: Phase): void {
    if (phase !== 'renew') return (this.#wishedMs = undefined);
    const nowMs = this.#network.clock.nowMs();
    if (this.#wishedMs === undefined) {
      this.#wishedMs = nowMs;
      this.#events.onWish(renewWish(renewSpreadMs(this.#leaves.size)));
    } else if (nowMs - this.#wishedMs >= RENEW_AGAIN_MS) {
      this.#wishedMs = nowMs;
      const { issuer: active } = this.state.active;
      const late = [...this.#leaves].filter(([, leaves]) => leaves.some(({ issuer }) => issuer !== active));
      this.#events.onWish(renewWish(0), new Set(late.slice(0, HOLDERS_NAMED_MAX).map(([proxy]) => proxy)));
    }
  }

  #facts(): RotationFacts {
    let [behind, elsewhere] = [0, 0];
    for (const { bundle, issuer } of [...this.#leaves.values()].flat()) {
      if (bundle !== this.bundle.hash) behind++;
      if (issuer !== this.state.active.issuer) elsewhere++;
    }
    return { behind, elsewhere, due: undefined, unnamed: [] };
  }
}

/** What a proxy has of the mesh. */
export interface SimMember {
  /** Behind its certificate. */
  readonly root: string;
  readonly serial: string;
  readonly notAfterMs: number;
  readonly trust: TrustBundle;
}

export function reportOf({
  serial,
  notAfterMs,
  trust,
}: SimMember): CertificateReport & { readonly kind: 'certificate' } {
  return { kind: 'certificate', serial, notAfterMs, bundle: trust.hash, issuer: trust.issuer };
}

const ID_CHARS = 64;
/** As long as a real one is. */
const PEM_CHARS = 700;

function pairOf(i: number): Pair {
  return { root: `root${i}`.padEnd(ID_CHARS, '0'), issuer: `issuer${i}`.padEnd(ID_CHARS, '0') };
}

function bundleOf(state: RotationState): TrustBundle {
  const roots = trustedRoots(state);
  return {
    hash: roots
      .map((root) => root.slice(0, ID_CHARS / 2))
      .join('')
      .padEnd(ID_CHARS, '0')
      .slice(0, ID_CHARS),
    trustDomain: 'cluster.local',
    roots: roots.map(pemOf),
    federated: [],
    issuer: state.active.issuer,
  };
}

/** Its id stands in it, so that it is found in plans. */
function pemOf(root: string): string {
  return `-----BEGIN CERTIFICATE-----\n${root}\n`.padEnd(PEM_CHARS, 'A');
}
