/**
 * What stands between proxies and control planes: latency, bandwidth, cuts, ends that do not read. Messages of one stream
 * keep their order; those of different streams overtake each other. No sockets and no bytes: values go over, bytes are counted.
 */
import type { Random } from '../../src/base/random.ts';
import type { ManualClock } from '../../src/base/testing/manual-clock.ts';
import type { ClientEnd, Connect } from '../../src/push/client.ts';
import { pushFault } from '../../src/push/faults.ts';
import type { Hub } from '../../src/push/hub.ts';
import type { ControlMessage, ProxyMessage } from '../../src/push/messages.ts';
import type { ServerSession } from '../../src/push/server-session.ts';
import { bytesToControl, bytesToProxy } from './wire-size.ts';

/** Arrivals fall on such a grid: what happens at one moment is one turn of the simulation. */
const GRID_MS = 0.5;

/** 100 Mbit/s for each proxy. */
const BYTES_PER_MS = 12_500;

/** Round trips of TCP and of TLS 1.3 before the first message. */
const HANDSHAKE_TRIPS = 2;

export interface Traffic {
  messages: number;
  bytes: number;
  deltas: number;
  /** Handshakes of TLS that control planes have begun. */
  handshakes: number;
  /** Connections that were turned away before one. */
  turnedAway: number;
}

export interface NetworkOptions {
  readonly clock: ManualClock;
  readonly random: Random;
  /** Called with each message that begins its way to a proxy. */
  onToProxy?(instance: string, message: ControlMessage): void;
}

export class Network {
  readonly clock: ManualClock;
  readonly #random: Random;
  /** Control planes that can be reached, by address. */
  readonly hubs = new Map<string, Hub>();
  readonly links = new Set<Link>();
  readonly toProxies: Traffic = { messages: 0, bytes: 0, deltas: 0, handshakes: 0, turnedAway: 0 };
  readonly toControl: Traffic = { messages: 0, bytes: 0, deltas: 0, handshakes: 0, turnedAway: 0 };
  /** Instances that read nothing that is larger than a window of HTTP/2. */
  readonly deaf = new Set<string>();
  /** Handshakes by the second in which they began. */
  readonly handshakes = new Map<number, number>();
  /** Largest number of streams that began at a time. */
  startingMax = 0;
  /** Extra latency of all links. */
  slowMs = 0;
  onToProxy: (instance: string, message: ControlMessage) => void = () => undefined;

  constructor({ clock, random }: NetworkOptions) {
    this.clock = clock;
    this.#random = random;
  }

  /** The way of one proxy, whose certificate says who it is. */
  connectOf(instance: string, identity: () => string): Connect {
    const latencyMs = 0.5 + this.#random.unit() * 4.5;
    return (address, end) => {
      const link = new Link(this, { instance, address, latencyMs, end });
      this.links.add(link);
      link.connect(identity());
      return link.clientPipe;
    };
  }

  /** A control plane is gone, with all of its connections; who stood there learns of it. */
  lose(address: string): void {
    this.hubs.delete(address);
    for (const link of this.links) if (link.address === address) link.cut();
  }

  at(atMs: number, action: () => void): void {
    const { clock } = this;
    const onGridMs = Math.ceil(atMs / GRID_MS) * GRID_MS;
    clock.after(Math.max(0, onGridMs - clock.nowMs()), action);
  }

  noteHandshake(): void {
    const second = Math.floor(this.clock.nowMs() / 1_000);
    this.handshakes.set(second, (this.handshakes.get(second) ?? 0) + 1);
    this.toControl.handshakes++;
  }
}

interface LinkOptions {
  readonly instance: string;
  readonly address: string;
  readonly latencyMs: number;
  readonly end: ClientEnd;
}

/** Bytes that go out to a proxy that reads nothing: windows of HTTP/2 and buffers of the kernel. */
const WINDOW_BYTES = 64 * 1024;

export class Link {
  readonly #network: Network;
  readonly #options: LinkOptions;
  #server: ServerSession | undefined;
  #isOpen = true;
  #sentMs = 0;
  #toldMs = 0;
  #unread = 0;

  constructor(network: Network, options: LinkOptions) {
    this.#network = network;
    this.#options = options;
  }

  get address(): string {
    return this.#options.address;
  }

  get instance(): string {
    return this.#options.instance;
  }

  readonly clientPipe = {
    send: (message: ProxyMessage): 'full' => {
      const { toControl } = this.#network;
      const bytes = bytesToControl(message);
      toControl.messages++;
      toControl.bytes += bytes;
      this.#toldMs = this.#leavesAt(this.#toldMs, bytes);
      this.#network.at(this.#toldMs, () => this.#isOpen && this.#options.end.drained());
      this.#network.at(this.#toldMs + this.#latencyMs, () => this.#isOpen && this.#server?.receive(message));
      return 'full';
    },
    end: (): void => {
      const fault = pushFault('push.away', 'The proxy has ended the stream');
      this.#close(() => this.#server?.gone(fault));
    },
  };

  get #latencyMs(): number {
    return this.#options.latencyMs + this.#network.slowMs;
  }

  connect(identity: string): void {
    const network = this.#network;
    const startMs = network.clock.nowMs();
    network.at(startMs + this.#latencyMs, () => {
      const hub = network.hubs.get(this.address);
      if (!this.#isOpen) return;
      if (hub === undefined || hub.admit() !== 'admitted') {
        if (hub !== undefined) network.toControl.turnedAway++;
        return this.cut();
      }
      network.noteHandshake();
      const doneMs = startMs + this.#latencyMs * (2 * HANDSHAKE_TRIPS + 1);
      this.#toldMs = Math.max(this.#toldMs, doneMs - this.#latencyMs);
      this.#sentMs = doneMs;
      this.#accept(hub, identity);
    });
  }

  /** The connection is lost: both ends learn of it, as soon as they can. */
  cut(): void {
    const fault = pushFault('push.away', 'The connection is lost');
    this.#close(() => {
      this.#options.end.gone(fault);
      this.#server?.gone(fault);
    });
  }

  #accept(hub: Hub, identity: string): void {
    const network = this.#network;
    this.#server = hub.accept(identity, {
      send: (message) => {
        const bytes = bytesToProxy(message);
        network.toProxies.messages++;
        network.toProxies.bytes += bytes;
        if (message.kind === 'delta') network.toProxies.deltas++;
        network.onToProxy(this.instance, message);
        if (network.deaf.has(this.instance) && (this.#unread += bytes) > WINDOW_BYTES) return 'full';
        this.#sentMs = this.#leavesAt(this.#sentMs, bytes);
        network.at(this.#sentMs, () => this.#isOpen && this.#server?.drained());
        network.at(this.#sentMs + this.#latencyMs, () => {
          if (this.#isOpen && !network.deaf.has(this.instance)) this.#options.end.receive(message);
        });
        return 'full';
      },
      end: (fault) => this.#close(() => this.#options.end.gone(fault)),
    });
    network.startingMax = Math.max(network.startingMax, hub.starting);
  }

  #leavesAt(beforeMs: number, bytes: number): number {
    return Math.max(beforeMs, this.#network.clock.nowMs()) + bytes / BYTES_PER_MS;
  }

  #close(tell: () => void): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#network.links.delete(this);
    this.#network.at(this.#network.clock.nowMs() + this.#latencyMs, tell);
  }
}
