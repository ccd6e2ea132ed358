/**
 * The control plane's end of one stream, as a machine without a socket.
 *
 *     hello ─▶ ready ─▶ (inventory ─▶) sent ─▶ ready ...
 *
 * At most one delta is on its way and not acknowledged. What changes meanwhile
 * is one mark: when the proxy has answered, the plan of that moment is compared
 * with what it has. So a slow proxy costs a mark and no queue, and skips the
 * states between.
 */
import type { Ask, Asker } from '../base/asking.ts';
import type { Clock } from '../base/clock.ts';
import type { Fault } from '../base/fault.ts';
import { deltaSize, diffPlans } from '../ir/diff.ts';
import type { PlanBundle, PlanDelta } from '../ir/plan.ts';
import { pushFault } from './faults.ts';
import type { Feed, Feeds, ProxyStream } from './feeds.ts';
import { diffInventory, holdingOf, type Inventory, isHeld } from './inventory.ts';
import {
  type ControlMessage,
  type Hello,
  type Holding,
  PROTOCOL,
  type ProxyMessage,
  SERVICES_MAX,
  type TrustBundle,
  type Wish,
} from './messages.ts';
import { OpenAsks } from './open-asks.ts';

/** For the first message, and for an inventory: a proxy has them at hand. */
const HELLO_MS = 10_000;
const INVENTORY_MS = 60_000;

/** Longest silence of a proxy that has a delta: neither reading on nor answering. It applies plans in at most as long. */
const ACK_MS = 60_000;

/** A plan that was refused is offered again: the reason may have been of the moment. */
const REFUSED_AGAIN_MS = 60_000;

/** Wishes that wait for a slow proxy. Beyond: the oldest is dropped. */
const WISHES_MAX = 32;

/** The way to the proxy. Messages arrive whole and in their order, or the stream is gone. */
export interface ServerPipe {
  /** @returns `full` when nothing more may be sent until `drained` is called */
  send(message: ControlMessage): 'open' | 'full';
  end(fault: Fault): void;
}

export interface ServerSessionOptions {
  readonly feeds: Feeds;
  /** SPIFFE ID of the certificate that the proxy has shown. */
  readonly identity: string;
  readonly pipe: ServerPipe;
  readonly clock: Clock;
  /** Version of this software, and which control plane this is. */
  readonly software: string;
  readonly control: string;
  /** Called once, whoever ended it. */
  onEnd(fault: Fault): void;
  /** Called once: the proxy was let in and compared with its plan. */
  onSettled(): void;
}

/** What the proxy has, as far as we know. */
type Base =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'claimed'; readonly holding: Holding }
  | { readonly kind: 'inventory'; readonly inventory: Inventory }
  | { readonly kind: 'bundle'; readonly bundle: PlanBundle };

export class ServerSession implements ProxyStream {
  readonly #options: ServerSessionOptions;
  #state: 'hello' | 'ready' | 'inventory' | 'sent' | 'ended' = 'hello';
  #feed: Feed | undefined;
  #base: Base = { kind: 'nothing' };
  #sent: PlanBundle | undefined;
  #serial = 0;
  #refused: Holding | undefined;
  #isDirty = false;
  #isFull = false;
  #isPumping = false;
  #isSettled = false;
  readonly #services = new Set<string>();
  readonly #unknownTold = new Set<string>();
  #unknown: string[] = [];
  #trust: TrustBundle | undefined;
  #wishes: Wish[] = [];
  readonly #asks: OpenAsks;
  #cancelTimer: (() => void) | undefined;
  #cancelAgain: (() => void) | undefined;

  constructor(options: ServerSessionOptions) {
    this.#options = options;
    this.#asks = new OpenAsks({ clock: options.clock, onReady: () => this.#pump() });
    this.#wait(HELLO_MS, 'It did not introduce itself');
  }

  // === from the proxy ===

  receive(message: ProxyMessage): void {
    if (this.#state === 'ended') return;
    if (message.kind === 'hello') return this.#hello(message.hello);
    const feed = this.#feed;
    if (feed === undefined) return this.#violated(`"${message.kind}" before the hello`);
    switch (message.kind) {
      case 'inventory':
        return this.#inventory(message.inventory);
      case 'subscribe':
        return this.#subscribe(message.services);
      case 'unsubscribe':
        return this.#unsubscribe(message.services);
      case 'ack':
        return this.#ack(feed, message);
      case 'nack':
        return this.#nack(feed, message);
      case 'answer':
        return this.#asks.answered(message);
      case 'report': {
        const fault = feed.reported(message.report);
        return fault === undefined ? undefined : this.end(fault);
      }
    }
  }

  /** The pipe takes more. */
  drained(): void {
    this.#isFull = false;
    this.#pump();
  }

  /** The proxy has read on in what is being sent: it is slow and not dead. */
  progressed(): void {
    if (this.#state === 'sent') this.#wait(ACK_MS, `It did not acknowledge a plan in ${ACK_MS / 1_000} s`);
  }

  /** Ends it from here. */
  end(fault: Fault): void {
    if (this.#state === 'ended') return;
    this.gone(fault);
    this.#options.pipe.end(fault);
  }

  /** The pipe has ended. */
  gone(fault: Fault): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#cancelTimer?.();
    this.#cancelAgain?.();
    this.#asks.close(fault.detail);
    this.#feed?.closed(fault);
    this.#options.onEnd(fault);
  }

  // === from the control plane ===

  changed(): void {
    this.#isDirty = true;
    this.#pump();
  }

  trust(bundle: TrustBundle): void {
    this.#trust = bundle;
    this.#pump();
  }

  wish(wish: Wish): void {
    this.#wishes.push(wish);
    if (this.#wishes.length > WISHES_MAX) this.#wishes.shift();
    this.#pump();
  }

  ask(ask: Ask, asker: Asker): () => void {
    return this.#asks.ask(ask, asker);
  }

  cut(fault: Fault): void {
    this.end(fault);
  }

  // === states ===

  #hello(hello: Hello): void {
    if (this.#state !== 'hello') return this.#violated('A second hello');
    const { identity, feeds } = this.#options;
    if (hello.protocol !== PROTOCOL) return this.#violated(`It speaks protocol ${hello.protocol}, not ${PROTOCOL}`);
    if (hello.identity !== '' && hello.identity !== identity) {
      return this.end(pushFault('push.identity-refused', `"${identity}" asks for the plan of "${hello.identity}"`));
    }
    this.#cancelTimer?.();
    // Until it has a feed, what the feed says meanwhile only leaves its marks.
    const feed = feeds.open({ identity, hello }, this);
    if (!('bundleOf' in feed)) return this.end(feed);
    this.#feed = feed;
    for (const name of hello.services) this.#services.add(name);
    if (hello.holds !== undefined) this.#base = { kind: 'claimed', holding: hello.holds };
    this.#state = 'ready';
    this.#isDirty = true;
    this.#send({ kind: 'welcome', software: this.#options.software, control: this.#options.control });
    this.#pump();
  }

  #inventory(inventory: Inventory): void {
    if (this.#state !== 'inventory') return this.#violated('An inventory that was not asked for');
    this.#cancelTimer?.();
    this.#base = { kind: 'inventory', inventory };
    this.#state = 'ready';
    this.#pump();
  }

  #subscribe(services: readonly string[]): void {
    for (const name of services) this.#services.add(name);
    if (this.#services.size > SERVICES_MAX) {
      return this.end(pushFault('push.too-large', `It is subscribed to more than ${SERVICES_MAX} services`));
    }
    // Who asks again is told again.
    for (const name of services) this.#unknownTold.delete(name);
    this.changed();
  }

  #unsubscribe(services: readonly string[]): void {
    for (const name of services) {
      this.#services.delete(name);
      this.#unknownTold.delete(name);
    }
    this.changed();
  }

  #ack(feed: Feed, { serial, version, ports }: Extract<ProxyMessage, { kind: 'ack' }>): void {
    const sent = this.#answeredBy(serial, version);
    if (sent !== undefined) {
      this.#answered({ kind: 'bundle', bundle: sent });
      this.#refused = undefined;
    } else if (serial !== 0 || version !== this.#baseVersion()) {
      return this.#violated(`An ack of version "${version.slice(0, 64)}", which was not sent`);
    }
    feed.acked(version, ports);
    this.#pump();
  }

  #nack(feed: Feed, { serial, version, reason }: Extract<ProxyMessage, { kind: 'nack' }>): void {
    const sent = this.#answeredBy(serial, version);
    if (sent === undefined) {
      return this.#violated(`A nack of version "${version.slice(0, 64)}", which was not sent`);
    }
    this.#answered(this.#base);
    this.#refused = holdingOf(sent);
    this.#cancelAgain?.();
    this.#cancelAgain = this.#options.clock.after(REFUSED_AGAIN_MS, () => {
      this.#refused = undefined;
      this.changed();
    });
    feed.nacked(version, reason);
    this.#pump();
  }

  #answeredBy(serial: number, version: string): PlanBundle | undefined {
    const sent = this.#sent;
    return serial === this.#serial && version === sent?.plan.version ? sent : undefined;
  }

  #answered(base: Base): void {
    this.#cancelTimer?.();
    this.#sent = undefined;
    this.#base = base;
    this.#state = 'ready';
  }

  #baseVersion(): string | undefined {
    const base = this.#base;
    if (base.kind === 'nothing') return undefined;
    if (base.kind === 'claimed') return base.holding.version;
    return base.kind === 'inventory' ? base.inventory.version : base.bundle.plan.version;
  }

  // === sending ===

  /** Sends what waits while the pipe takes it: small things first, then the plan of now. */
  #pump(): void {
    // A feed or a pipe that calls back while it is called only leaves its mark: this loop sees it.
    if (this.#isPumping || this.#feed === undefined) return;
    this.#isPumping = true;
    while (!this.#isFull && this.#state !== 'ended' && this.#sendNext());
    this.#isPumping = false;
  }

  /** @returns whether something may be left to send */
  #sendNext(): boolean {
    if (this.#trust !== undefined) {
      const bundle = this.#trust;
      this.#trust = undefined;
      return this.#send({ kind: 'trust', bundle });
    }
    if (this.#unknown.length > 0) {
      const services = this.#unknown;
      this.#unknown = [];
      return this.#send({ kind: 'unknown', services });
    }
    const wish = this.#wishes.shift();
    if (wish !== undefined) return this.#send({ kind: 'wish', wish });
    const ask = this.#asks.next();
    if (ask !== undefined) return this.#send(ask);
    if (this.#state !== 'ready' || !this.#isDirty) return false;
    this.#isDirty = false;
    return this.#offer(this.#feed!);
  }

  #offer(feed: Feed): boolean {
    const { bundle, unknown } = feed.bundleOf(this.#services);
    this.#noteUnknown(unknown);
    // There is a plan later, and then a change.
    if (bundle === undefined) return this.#settled();
    const base = this.#base;
    if (base.kind === 'claimed') {
      if (!isHeld(base.holding, bundle)) return this.#askInventory();
      this.#base = { kind: 'bundle', bundle };
      return this.#settled();
    }
    if (this.#refused !== undefined && isHeld(this.#refused, bundle)) return this.#settled();
    const delta = deltaTo(bundle, base);
    if (deltaSize(delta) === 0 && delta.from === delta.to) {
      this.#base = { kind: 'bundle', bundle };
      return this.#settled();
    }
    this.#sent = bundle;
    this.#state = 'sent';
    this.progressed();
    this.#send({ kind: 'delta', serial: ++this.#serial, delta });
    return this.#settled();
  }

  #askInventory(): boolean {
    // The plan of then counts, not that of now.
    this.#isDirty = true;
    this.#state = 'inventory';
    this.#wait(INVENTORY_MS, 'It did not say what it has');
    return this.#send({ kind: 'inventory-wanted' });
  }

  /** Each name once, until it is known or asked for again. */
  #noteUnknown(unknown: readonly string[]): void {
    const now = new Set(unknown);
    for (const name of this.#unknownTold) if (!now.has(name)) this.#unknownTold.delete(name);
    for (const name of now) {
      if (this.#unknownTold.has(name)) continue;
      this.#unknownTold.add(name);
      this.#unknown.push(name);
    }
  }

  #settled(): true {
    if (!this.#isSettled) this.#options.onSettled();
    this.#isSettled = true;
    return true;
  }

  #send(message: ControlMessage): true {
    if (this.#options.pipe.send(message) === 'full') this.#isFull = true;
    return true;
  }

  #wait(ms: number, otherwise: string): void {
    this.#cancelTimer?.();
    this.#cancelTimer = this.#options.clock.after(ms, () => this.end(pushFault('push.silent', otherwise)));
  }

  #violated(what: string): void {
    this.end(pushFault('push.protocol', what));
  }
}

function deltaTo(bundle: PlanBundle, base: Exclude<Base, { kind: 'claimed' }>): PlanDelta {
  if (base.kind === 'inventory') return diffInventory(base.inventory, bundle);
  return diffPlans(base.kind === 'bundle' ? base.bundle : undefined, bundle);
}
