/**
 * The proxy's end of one stream, as a machine without a socket. It answers each
 * delta once and sends what is newest of everything else; what waits for a full
 * pipe is bounded by what there is to say, not by how often it changed.
 */
import type { AskTo } from '../base/asking.ts';
import type { Fault } from '../base/fault.ts';
import { pushFault } from './faults.ts';
import { holdingOf, inventoryOf } from './inventory.ts';
import {
  type ControlMessage,
  type Hello,
  PROTOCOL,
  type ProxyMessage,
  type Self,
  type TrustBundle,
  type Wish,
} from './messages.ts';
import { OpenAnswers } from './open-answers.ts';
import type { Standing } from './standing.ts';

/** The way to the control plane. Messages arrive whole and in their order, or the stream is gone. */
export interface ClientPipe {
  /** @returns `full` when nothing more may be sent until `drained` is called */
  send(message: ProxyMessage): 'open' | 'full';
  end(fault: Fault): void;
}

/** What the control plane tells a proxy besides its plan. */
export interface ProxyEvents {
  /** Names that were subscribed and stand for nothing (yet). */
  onUnknown(services: readonly string[]): void;
  /** What to trust from now on; said back by a report on the certificate. */
  onTrust(bundle: TrustBundle): void;
  onWish(wish: Wish): void;
  /** A question of the control plane; what is said to the asker goes back. */
  readonly askTo: AskTo;
}

export interface ClientSessionOptions {
  readonly self: Self;
  readonly standing: Standing;
  onWelcome(welcome: Extract<ControlMessage, { kind: 'welcome' }>): void;
  readonly events: ProxyEvents;
  /** Called once, whoever ended it. */
  onEnd(fault: Fault): void;
}

type Answer = Extract<ProxyMessage, { kind: 'ack' | 'nack' }>;

export class ClientSession {
  readonly #options: ClientSessionOptions;
  #pipe: ClientPipe | undefined;
  #state: 'new' | 'greeted' | 'live' | 'ended' = 'new';
  #isFull = false;
  #isPumping = false;
  #isInventoryDue = false;
  #answer: Answer | undefined;
  readonly #subscribe = new Set<string>();
  readonly #unsubscribe = new Set<string>();
  readonly #reports = new Set<string>();
  readonly #answers: OpenAnswers;

  constructor(options: ClientSessionOptions) {
    this.#options = options;
    this.#answers = new OpenAnswers({ askTo: options.events.askTo, onReady: () => this.#pump() });
  }

  get isLive(): boolean {
    return this.#state === 'live';
  }

  /** Introduces the proxy. Call it once, before anything is received. */
  begin(pipe: ClientPipe): void {
    const { self, standing } = this.#options;
    if (this.#state !== 'new') return;
    this.#pipe = pipe;
    this.#state = 'greeted';
    const { held, trusts } = standing;
    const hello: Hello = {
      ...self,
      protocol: PROTOCOL,
      holds: held === undefined ? undefined : holdingOf(held),
      ...(trusts !== undefined && { trusts }),
      services: [...standing.services],
    };
    this.#send({ kind: 'hello', hello });
  }

  receive(message: ControlMessage): void {
    if (this.#state === 'ended') return;
    const { events } = this.#options;
    if (message.kind === 'welcome') {
      if (this.#state === 'live') return this.#violated('A second welcome');
      this.#welcome();
      return this.#options.onWelcome(message);
    }
    if (this.#state !== 'live') return this.#violated(`"${message.kind}" before the welcome`);
    switch (message.kind) {
      case 'inventory-wanted':
        this.#isInventoryDue = true;
        return this.#pump();
      case 'delta':
        return void this.#take(message);
      case 'unknown':
        return events.onUnknown(message.services);
      case 'trust':
        return events.onTrust(message.bundle);
      case 'wish':
        return events.onWish(message.wish);
      case 'ask':
        return this.#answers.take(message);
      case 'unask':
        return this.#answers.takeBack(message.id);
    }
  }

  /** The pipe takes more. */
  drained(): void {
    this.#isFull = false;
    this.#pump();
  }

  end(fault: Fault): void {
    if (this.#state === 'ended') return;
    this.gone(fault);
    this.#pipe?.end(fault);
  }

  /** The pipe has ended. */
  gone(fault: Fault): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#answers.close();
    this.#options.onEnd(fault);
  }

  // === from the proxy; the standing has it already ===

  subscribed(names: readonly string[]): void {
    for (const name of names) if (!this.#unsubscribe.delete(name)) this.#subscribe.add(name);
    this.#pump();
  }

  unsubscribed(names: readonly string[]): void {
    for (const name of names) if (!this.#subscribe.delete(name)) this.#unsubscribe.add(name);
    this.#pump();
  }

  reported(key: string): void {
    this.#reports.add(key);
    this.#pump();
  }

  /** Ports changed without a change of the plan. */
  portsChanged(): void {
    const { held, ports } = this.#options.standing;
    // The answer to a delta that is being applied has them too.
    if (held === undefined || this.#options.standing.isApplying) return;
    this.#answer ??= { kind: 'ack', serial: 0, version: held.plan.version, ports };
    if (this.#answer.kind === 'ack') this.#answer = { ...this.#answer, ports };
    this.#pump();
  }

  // === states ===

  #welcome(): void {
    this.#state = 'live';
    this.portsChanged();
    for (const key of this.#options.standing.reports.keys()) this.#reports.add(key);
    this.#pump();
  }

  async #take({ serial, delta }: Extract<ControlMessage, { kind: 'delta' }>): Promise<void> {
    const { standing } = this.#options;
    if (standing.isApplying || this.#answer?.kind === 'nack')
      return this.#violated('A delta before the answer to another');
    const bundle = standing.planOf(delta);
    if (typeof bundle === 'string') return this.end(pushFault('push.damaged', bundle));
    const result = await standing.apply({ bundle, delta });
    this.#answer = { ...result, serial };
    this.#pump();
  }

  // === sending ===

  #pump(): void {
    if (this.#isPumping || this.#state !== 'live') return;
    this.#isPumping = true;
    while (!this.#isFull && this.isLive && this.#sendNext());
    this.#isPumping = false;
  }

  /** @returns whether something may be left to send */
  #sendNext(): boolean {
    const { standing } = this.#options;
    const { held } = standing;
    const answer = this.#answer;
    if (answer !== undefined) {
      this.#answer = undefined;
      return this.#send(answer);
    }
    if (
      this.#sendNames('subscribe', this.#subscribe) ||
      this.#sendNames('unsubscribe', this.#unsubscribe) ||
      this.#sendReport()
    ) {
      return true;
    }
    // After what its plan is made of: without its workload, what serves that would be taken from it for a moment.
    if (this.#isInventoryDue && held !== undefined) {
      this.#isInventoryDue = false;
      return this.#send({ kind: 'inventory', inventory: inventoryOf(held) });
    }
    return this.#sendAnswer();
  }

  #sendNames(kind: 'subscribe' | 'unsubscribe', names: Set<string>): boolean {
    if (names.size === 0) return false;
    const services = [...names];
    names.clear();
    return this.#send({ kind, services });
  }

  #sendReport(): boolean {
    const [key] = this.#reports;
    if (key === undefined) return false;
    this.#reports.delete(key);
    const report = this.#options.standing.reports.get(key);
    return report === undefined || this.#send({ kind: 'report', report });
  }

  #sendAnswer(): boolean {
    const answer = this.#answers.next();
    return answer !== undefined && this.#send(answer);
  }

  #send(message: ProxyMessage): true {
    if (this.#pipe!.send(message) === 'full') this.#isFull = true;
    return true;
  }

  #violated(what: string): void {
    this.end(pushFault('push.protocol', what));
  }
}
