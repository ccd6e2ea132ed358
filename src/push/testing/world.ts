/** Proxies and control planes over pipes in memory, on a clock moved by hand. */
import { setImmediate as turn } from 'node:timers/promises';
import type { AskTo } from '../../base/asking.ts';
import { type LogFields, silentLog } from '../../base/log.ts';
import { seededRandom } from '../../base/random.ts';
import { ManualClock } from '../../base/testing/manual-clock.ts';
import type { ApplyResult } from '../../ir/apply-result.ts';
import type { Change } from '../../ir/change.ts';
import type { PlanBundle, PlanDelta } from '../../ir/plan.ts';
import { PushClient, type PushClientOptions } from '../client.ts';
import { Hub } from '../hub.ts';
import type { TrustBundle } from '../messages.ts';
import { MemoryNet } from './memory-pipe.ts';
import { PlainFeeds } from './plain-feeds.ts';

export const ORDERS = 'spiffe://cluster.local/ns/shop/sa/orders';
export const SELF = { software: '1.0.0', instance: 'orders-1', role: 'sidecar', identity: '', zone: 'a' } as const;

export const BUNDLE: TrustBundle = {
  hash: 'h',
  trustDomain: 'cluster.local',
  roots: ['PEM'],
  federated: [],
  issuer: 'i',
};

export class World {
  readonly clock = new ManualClock();
  readonly feeds: PlainFeeds;
  readonly hubs = new Map<string, Hub>();
  readonly warnings: { readonly message: string; readonly fields: LogFields | undefined }[] = [];
  hub: Hub;

  constructor(bundle?: PlanBundle) {
    this.feeds = new PlainFeeds(bundle);
    this.hub = this.newHub(this.feeds);
    this.hubs.set('a:1', this.hub);
  }

  newHub(feeds: PlainFeeds): Hub {
    const log = {
      ...silentLog,
      warn: (message: string, fields?: LogFields) => void this.warnings.push({ message, fields }),
    };
    return new Hub({ feeds, clock: this.clock, log, software: '1.0.0', control: 'control-1' });
  }

  proxy(options: Partial<PushClientOptions> = {}): TestProxy {
    return new TestProxy(this, options);
  }

  /** Moves time on, and lets what was promised happen at its time. */
  async run(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 1) {
      this.clock.advance(1);
      await turn();
    }
  }

  /** As {@link run}, in larger steps: for waits in which little happens. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 100) {
      this.clock.advance(100);
      await turn();
    }
  }
}

export class TestProxy {
  readonly net: MemoryNet;
  readonly client: PushClient;
  readonly changes: Change[] = [];
  readonly unknown: string[] = [];
  readonly trust: TrustBundle[] = [];
  readonly wishes: string[] = [];
  askTo: AskTo = (_, asker) => {
    asker.end({ kind: 'unsupported', reason: 'A test knows no topics' });
    return () => undefined;
  };
  readonly kept: PlanBundle[] = [];
  answer: (change: Change) => Promise<ApplyResult> = ({ bundle }) =>
    Promise.resolve({ kind: 'ack', version: bundle.plan.version, ports: {} });

  constructor({ clock, hubs }: World, options: Partial<PushClientOptions>) {
    this.net = new MemoryNet({ clock, hubs, identity: ORDERS });
    this.client = new PushClient({
      connect: this.net.connect,
      addresses: ['a:1'],
      self: SELF,
      apply: (change) => {
        this.changes.push(change);
        return this.answer(change);
      },
      keep: (bundle) => void this.kept.push(bundle),
      events: {
        onUnknown: (services) => void this.unknown.push(...services),
        onTrust: (bundle) => void this.trust.push(bundle),
        onWish: ({ name }) => void this.wishes.push(name),
        askTo: (ask, asker) => this.askTo(ask, asker),
      },
      clock,
      random: seededRandom(1, 2, 3, 4),
      log: silentLog,
      ...options,
    });
    this.client.start();
  }

  get version(): string | undefined {
    return this.client.held?.plan.version;
  }

  deltas(): PlanDelta[] {
    return this.net.toProxy.flatMap((message) => (message.kind === 'delta' ? [message.delta] : []));
  }
}
