/** Puts local ports into each plan on its way to the proxies, and says which of them lead nowhere yet. */
import type { Log } from '../base/log.ts';
import type { ApplyResult } from '../ir/apply-result.ts';
import type { Change } from '../ir/change.ts';
import { diffPlans } from '../ir/diff.ts';
import type { PlanBundle } from '../ir/plan.ts';
import {
  listenerFor,
  type LocalAddress,
  type LocalPort,
  type LocalWay,
  type NamedPort,
  namedPortsOf,
  withLocalPorts,
} from './local-ports.ts';
import type { Applier } from './own-plans.ts';

/** Leads what is addressed to services to local ports: capture (src/capture). */
export interface Captor {
  /** Local addresses by the key of the listener, for those that are captured. Called before the ports are bound. */
  claim(named: readonly NamedPort[]): Promise<ReadonlyMap<string, LocalAddress>>;
  /** The ports are bound: from now on they are led to. */
  lead(named: readonly NamedPort[]): Promise<void>;
}

export interface LocalPlansOptions {
  readonly applier: Applier;
  readonly locals: readonly LocalPort[];
  readonly captor?: Captor | undefined;
  readonly log: Log;
}

export class LocalPlans implements Applier {
  readonly #options: LocalPlansOptions;
  #applied: PlanBundle | undefined;
  #said = '';

  constructor(options: LocalPlansOptions) {
    this.#options = options;
  }

  async apply({ bundle }: Change): Promise<ApplyResult> {
    const { applier, captor } = this.#options;
    const named = namedPortsOf(bundle.plan);
    const ways = this.#namedWays(named);
    for (const [key, at] of (await captor?.claim(named)) ?? []) {
      ways.set(key, [...(ways.get(key) ?? []), { mark: '@captured', at }]);
    }
    const next = { ...bundle, plan: withLocalPorts(bundle.plan, ways) };
    const result = await applier.apply({ bundle: next, delta: diffPlans(this.#applied, next) });
    if (result.kind === 'nack') return result;
    this.#applied = next;
    await captor?.lead(named);
    return result;
  }

  #namedWays(named: readonly NamedPort[]): Map<string, LocalWay[]> {
    const ways = new Map<string, LocalWay[]>();
    const flaws: string[] = [];
    for (const local of this.#options.locals) {
      const found = listenerFor(local, named);
      if ('flaw' in found) flaws.push(found.flaw);
      else if (!ways.has(found.key)) ways.set(found.key, [{ mark: '@local', at: local.at }]);
      else flaws.push(`Service "${local.service}" has a local port for ${found.key} already`);
    }
    this.#say(flaws);
    return ways;
  }

  /** Once for each change of what is wrong. */
  #say(flaws: readonly string[]): void {
    const text = flaws.join('\n');
    if (text !== this.#said) for (const flaw of flaws) this.#options.log.warn(`A local port leads nowhere: ${flaw}`);
    this.#said = text;
  }
}
