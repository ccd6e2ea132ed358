import type { AskTo } from '../base/asking.ts';
import type { FilterOrder, OrderAnswer } from '../base/filter-order.ts';
import type { Member } from '../control/member.ts';
import type { ApplyResult } from '../ir/apply-result.ts';
import type { NodeStats } from '../ir/node-stats.ts';
import type { PlanDelta } from '../ir/plan.ts';
import type { PortRefusals, PortStates } from '../ir/port-state.ts';
import type { TicketKeys } from '../net/ticket-keys.ts';
import type { Node } from '../proxy/node-types.ts';

interface LocalParts {
  readonly node: Node;
  readonly ticketKeys: TicketKeys;
  readonly close: () => void;
}

/** A proxy in the main thread: `workers: 0`, for tests and very small machines. */
export class LocalMember implements Member {
  readonly gone: Promise<string>;
  readonly #node: Node;
  readonly #ticketKeys: TicketKeys;
  readonly #close: () => void;
  readonly #measure: () => void;
  #end: (reason: string) => void = () => undefined;

  constructor({ node, ticketKeys, close }: LocalParts, measure: () => void) {
    this.#node = node;
    this.#ticketKeys = ticketKeys;
    this.#close = close;
    this.#measure = measure;
    this.gone = new Promise((resolve) => (this.#end = resolve));
  }

  apply(delta: PlanDelta, refused: PortRefusals): Promise<ApplyResult> {
    return this.#node.apply(delta, refused);
  }

  rebind(refused: PortRefusals): Promise<PortStates> {
    return this.#node.rebind(refused);
  }

  drain(deadlineMs: number): Promise<void> {
    return this.#node.drain(deadlineMs);
  }

  async stats(): Promise<NodeStats> {
    return this.#node.stats();
  }

  async order(filter: string, order: FilterOrder): Promise<OrderAnswer> {
    return this.#node.order(filter, order);
  }

  readonly ask: AskTo = (ask, asker) => this.#node.ask(ask, asker);

  async measure(): Promise<void> {
    this.#measure();
  }

  rotateTicketKeys(bytes: Uint8Array): void {
    this.#ticketKeys.rotate(bytes);
  }

  async end(): Promise<void> {
    await this.#node.drain(0);
    this.#close();
    this.#end('it was ended');
  }
}
