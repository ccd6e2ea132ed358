/**
 * A proxy and a control plane joined in memory, message by message, on a clock
 * that tests move: no socket, no bytes. What stands between them can be made
 * slow or cut.
 */
import type { Clock } from '../../base/clock.ts';
import type { Fault } from '../../base/fault.ts';
import type { ClientEnd, Connect } from '../client.ts';
import { pushFault } from '../faults.ts';
import type { Hub } from '../hub.ts';
import type { ControlMessage, ProxyMessage } from '../messages.ts';
import type { ServerSession } from '../server-session.ts';

export interface MemoryNetOptions {
  readonly clock: Clock;
  /** Control planes by address; one that is missing cannot be reached. */
  readonly hubs: Map<string, Hub>;
  readonly identity: string;
  readonly delayMs?: number;
}

/** One proxy's way to its control planes. */
export class MemoryNet {
  readonly #options: MemoryNetOptions;
  readonly toProxy: ControlMessage[] = [];
  readonly toControl: ProxyMessage[] = [];
  /** Addresses that were tried, with the time. */
  readonly attempts: { readonly address: string; readonly atMs: number }[] = [];
  /** The proxy takes nothing: what is sent to it stays at the sender. */
  isStalled = false;
  /** The control plane takes one message more, and then nothing. */
  isBackStalled = false;
  #stalled: (() => void)[] = [];
  #onBack: () => void = () => undefined;
  #cut: (() => void) | undefined;

  constructor(options: MemoryNetOptions) {
    this.#options = options;
  }

  readonly connect: Connect = (address, end) => {
    const { clock, hubs, identity } = this.#options;
    this.attempts.push({ address, atMs: clock.nowMs() });
    const hub = hubs.get(address);
    const line = new Line(this, end);
    this.#cut = () => line.cut(pushFault('push.away', 'cut'));
    if (hub === undefined) this.later(() => line.cut(pushFault('push.away', 'refused')));
    else line.join(hub, identity);
    return line.clientPipe;
  };

  cut(): void {
    this.#cut?.();
  }

  later(action: () => void): void {
    this.#options.clock.after(this.#options.delayMs ?? 1, action);
  }

  /** @returns whether the action has to wait until the proxy reads again */
  stall(action: () => void): boolean {
    if (this.isStalled) this.#stalled.push(action);
    return this.isStalled;
  }

  /** The same in the other direction; only what comes after the message waits. */
  stallBack(drained: () => void): boolean {
    if (this.isBackStalled) this.#onBack = drained;
    return this.isBackStalled;
  }

  resumeBack(): void {
    this.isBackStalled = false;
    this.#onBack();
  }

  resume(): void {
    this.isStalled = false;
    for (const action of this.#stalled.splice(0)) action();
  }
}

class Line {
  readonly #net: MemoryNet;
  readonly #client: ClientEnd;
  #server: ServerSession | undefined;
  #isOpen = true;

  constructor(net: MemoryNet, client: ClientEnd) {
    this.#net = net;
    this.#client = client;
  }

  readonly clientPipe = {
    send: (message: ProxyMessage): 'open' | 'full' => {
      this.#net.toControl.push(message);
      this.#net.later(() => this.#isOpen && this.#server?.receive(message));
      return this.#net.stallBack(() => this.#isOpen && this.#client.drained()) ? 'full' : 'open';
    },
    end: (fault: Fault): void => this.#end(() => this.#server?.gone(fault)),
  };

  join(hub: Hub, identity: string): void {
    this.#server = hub.accept(identity, {
      send: (message) => {
        const arrive = (): void => {
          this.#net.toProxy.push(message);
          this.#net.later(() => this.#isOpen && this.#client.receive(message));
        };
        const isStalled = this.#net.stall(() => {
          arrive();
          if (this.#isOpen) this.#server?.drained();
        });
        if (!isStalled) arrive();
        return isStalled ? 'full' : 'open';
      },
      end: (fault) => this.#end(() => this.#client.gone(fault)),
    });
  }

  /** Both ends learn of it. */
  cut(fault: Fault): void {
    this.#end(() => {
      this.#client.gone(fault);
      this.#server?.gone(fault);
    });
  }

  #end(tell: () => void): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#net.later(tell);
  }
}
