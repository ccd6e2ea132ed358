import type { AskTo } from '../base/asking.ts';
import type { ApplyResult } from '../ir/apply-result.ts';
import type { Change } from '../ir/change.ts';
import type { Fleet } from './fleet.ts';

/** What a control plane asks of the proxies of its own process. */
export type OwnProxies = Pick<
  Fleet,
  'apply' | 'ports' | 'failing' | 'draining' | 'health' | 'stats' | 'order' | 'askTo' | 'measure' | 'drain'
>;

/** In place of a fleet where the control plane is alone in its process: all proxies are elsewhere. */
export class NoProxies implements OwnProxies {
  readonly ports = {};
  readonly failing = [];
  draining = false;

  /** There is nobody who could refuse it: what is compiled is published, and each proxy takes or refuses its own part. */
  async apply({ bundle }: Change): Promise<ApplyResult> {
    return { kind: 'ack', version: bundle.plan.version, ports: {} };
  }

  health(): [] {
    return [];
  }

  async stats(): Promise<{ workers: []; endpoints: Record<string, never> }> {
    return { workers: [], endpoints: {} };
  }

  async order(): Promise<[]> {
    return [];
  }

  readonly askTo: AskTo = (_, asker) => {
    asker.end({ kind: 'gone', reason: 'There is no proxy in this process' });
    return () => undefined;
  };

  async measure(): Promise<void> {
    // Nobody counts anything.
  }

  async drain(): Promise<void> {
    this.draining = true;
  }
}
