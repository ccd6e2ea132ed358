/** A proxy that only remembers its plan, for tests of this room. */
import type { AskTo } from '../../base/asking.ts';
import type { FilterOrder, OrderAnswer } from '../../base/filter-order.ts';
import type { ApplyResult } from '../../ir/apply-result.ts';
import { applyDelta } from '../../ir/diff.ts';
import type { FailingFilter, NodeStats } from '../../ir/node-stats.ts';
import type { PlanBundle, PlanDelta } from '../../ir/plan.ts';
import type { PortRefusals, PortState, PortStates } from '../../ir/port-state.ts';
import type { Member } from '../member.ts';

/** What a member does with a plan. */
export type Behaviour = (
  delta: PlanDelta,
  member: FakeMember,
) => 'ack' | 'nack' | 'die' | Promise<'ack' | 'nack' | 'die'>;

export class FakeMember implements Member {
  readonly worker: number;
  readonly gone: Promise<string>;
  readonly deltas: PlanDelta[] = [];
  held: PlanBundle | undefined;
  drainedMs: number | undefined;
  ended = false;
  /** Whether an answer to a question is all that there is to say. */
  endsAsks = true;
  readonly takenBack: string[] = [];
  failing: readonly FailingFilter[] = [];
  readonly #behave: Behaviour;
  #die: (reason: string) => void = () => undefined;

  constructor(worker: number, behave: Behaviour = () => 'ack') {
    this.worker = worker;
    this.#behave = behave;
    this.gone = new Promise((resolve) => (this.#die = resolve));
  }

  get version(): string | undefined {
    return this.held?.plan.version;
  }

  async apply(delta: PlanDelta, refused: PortRefusals): Promise<ApplyResult> {
    if (this.ended) throw new Error('it has ended');
    this.deltas.push(delta);
    const does = await this.#behave(delta, this);
    if (does === 'die') {
      this.die('it fell over');
      throw new Error('it has ended');
    }
    if (does === 'nack') return { kind: 'nack', version: delta.to, reason: 'it does not like it' };
    this.held = applyDelta(this.held, delta);
    return { kind: 'ack', version: delta.to, ports: this.#ports(refused) };
  }

  async rebind(refused: PortRefusals): Promise<PortStates> {
    return this.#ports(refused);
  }

  async drain(deadlineMs: number): Promise<void> {
    this.drainedMs = deadlineMs;
  }

  async order(filter: string, order: FilterOrder): Promise<OrderAnswer> {
    if (this.ended) throw new Error('it has ended');
    return { kind: 'done', answer: { worker: this.worker, filter, order: order.kind } };
  }

  readonly ask: AskTo = ({ topic }, asker) => {
    asker.answer({ worker: this.worker, topic }, 0);
    if (this.endsAsks) asker.end({ kind: 'done' });
    void this.gone.then((reason) => asker.end({ kind: 'gone', reason }));
    return () => void this.takenBack.push(topic);
  };

  async stats(): Promise<NodeStats> {
    const endpoint = { address: '127.0.0.1', port: 8080, connections: 2, sinceMs: 1, idle: 1 };
    return {
      version: this.version,
      connections: 3,
      exchanges: 1,
      endpoints: { web: [endpoint] },
      used: { 'Service/shop/web/80': this.worker },
      failing: this.failing,
    };
  }

  async measure(): Promise<void> {
    await Promise.resolve();
  }

  async end(): Promise<void> {
    this.die('it was ended');
  }

  die(reason: string): void {
    this.ended = true;
    this.#die(reason);
  }

  #ports(refused: PortRefusals): PortStates {
    const ports = Object.entries(this.held?.plan.ports ?? {});
    return Object.fromEntries(
      ports.map(([key, { address, port }]): [string, PortState] => [
        key,
        refused[key] ?? { state: 'bound', address, port },
      ]),
    );
  }
}
