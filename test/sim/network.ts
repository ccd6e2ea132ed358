/**
 * What stands between proxies and control planes: latency, bandwidth, cuts. Messages of one stream
 * keep their order; those of different streams overtake each other. No sockets and no bytes: values go over, bytes are counted.
 */
import type { Random } from '../../src/base/random.ts';
import type { ManualClock } from '../../src/base/testing/manual-clock.ts';
import type { Hub } from '../../src/push/hub.ts';
import type { ClientEnd } from '../../src/push/client.ts';
import { pushFault } from '../../src/push/faults.ts';
import type { ProxyMessage } from '../../src/push/messages.ts';
import type { ServerSession } from '../../src/push/server-session.ts';
import type { ControlPlane } from './control-plane.ts';
import { bytesToControl, bytesToProxy } from './wire-size.ts';

/** Arrivals fall on such a grid: what happens at one moment is one turn of the simulation. */
const GRID_MS = 0.5;

/** 100 Mbit/s for each proxy. */
const BYTES_PER_MS = 12_500;

/** Round trips of TCP and of TLS 1.3 before the first message. */
const HANDSHAKE_TRIPS = 2;

/** Of a handshake with a certificate, and the issuer of it, from each side. */
const HANDSHAKE_BYTES = 2_200;

/** What goes over, in one direction. */
export interface Traffic {
  messages: number;
  bytes: number;
}

/** Connections that are tried in as many milliseconds are one rush. */
export const RUSH_MS = 100;

export class Network {
  readonly clock: ManualClock;
  readonly #random: Random;
  /** Control planes that can be reached, by address. */
  readonly controls = new Map<string, ControlPlane>();
  readonly links = new Set<Link>();
  readonly toProxies: Traffic = { messages: 0, bytes: 0 };
  readonly toControl: Traffic = { messages: 0, bytes: 0 };
  deltas = 0;
  /** Handshakes of TLS that control planes have begun. */
  handshakes = 0;
  /** Connections that were turned away before one. */
  turnedAway = 0;
  /** Connections that came to a control plane, by the {@link RUSH_MS} in which they did. */
  readonly rushes = new Map<number, number>();
  /** Largest number of streams that began at a time. */
  startingMax = 0;

  constructor({ clock, random }: { readonly clock: ManualClock; readonly random: Random }) {
    this.clock = clock;
    this.#random = random;
  }

  /** One way, to some proxy. */
  latencyMs(): number {
    return 0.5 + this.#random.unit() * 4.5;
  }

  /** Begins a connection. */
  open(options: LinkOptions): Link {
    const link = new Link(this, options);
    this.links.add(link);
    link.connect();
    return link;
  }

  /** A connection for one question and its answer. */
  call(
    { address, latencyMs, bytes }: { readonly address: string; readonly latencyMs: number; readonly bytes: CallBytes },
    done: (result: 'answered' | 'failed') => void,
  ): void {
    const startMs = this.clock.nowMs();
    this.at(startMs + latencyMs, () => {
      const control = this.controls.get(address);
      if (control !== undefined) this.noteArrival();
      const isIn = control?.hub.admit() === 'admitted';
      if (isIn) this.noteHandshake();
      else if (control !== undefined) this.turnedAway++;
      const trips = isIn ? HANDSHAKE_TRIPS + 1 : 1;
      this.at(startMs + trips * 2 * latencyMs, () => {
        if (!isIn) return done('failed');
        this.toControl.bytes += bytes.request;
        this.toProxies.bytes += bytes.answer;
        this.toControl.messages++;
        this.toProxies.messages++;
        done('answered');
      });
    });
  }

  /** A control plane is gone, with all of its connections; who stood there learns of it. */
  lose(address: string): void {
    this.controls.delete(address);
    for (const link of this.links) if (link.address === address) link.cut();
  }

  at(atMs: number, action: () => void): void {
    const { clock } = this;
    const onGridMs = Math.ceil(atMs / GRID_MS) * GRID_MS;
    clock.after(Math.max(0, onGridMs - clock.nowMs()), action);
  }

  noteArrival(): void {
    const rush = Math.floor(this.clock.nowMs() / RUSH_MS);
    this.rushes.set(rush, (this.rushes.get(rush) ?? 0) + 1);
  }

  noteHandshake(): void {
    this.handshakes++;
    this.toControl.bytes += HANDSHAKE_BYTES;
    this.toProxies.bytes += HANDSHAKE_BYTES;
  }
}

export interface CallBytes {
  readonly request: number;
  readonly answer: number;
}

interface LinkOptions {
  /** Of the certificate of the proxy. */
  readonly identity: string;
  readonly address: string;
  readonly latencyMs: number;
  readonly end: ClientEnd;
}

export class Link {
  readonly #network: Network;
  readonly #options: LinkOptions;
  #server: ServerSession | undefined;
  #control: ControlPlane | undefined;
  #isOpen = true;
  #sentMs = 0;
  #toldMs = 0;

  constructor(network: Network, options: LinkOptions) {
    this.#network = network;
    this.#options = options;
  }

  get address(): string {
    return this.#options.address;
  }

  readonly clientPipe = {
    send: (message: ProxyMessage): 'full' => {
      const { toControl } = this.#network;
      const bytes = bytesToControl(message);
      toControl.messages++;
      toControl.bytes += bytes;
      this.#toldMs = this.#leavesAt(this.#toldMs, bytes);
      this.#network.at(this.#toldMs, () => this.#isOpen && this.#options.end.drained());
      this.#network.at(this.#toldMs + this.#latencyMs, () => {
        if (this.#isOpen) this.#work(() => this.#server?.receive(message));
      });
      return 'full';
    },
    end: (): void => {
      const fault = pushFault('push.away', 'The proxy has ended the stream');
      this.#close(() => this.#work(() => this.#server?.gone(fault)));
    },
  };

  get #latencyMs(): number {
    return this.#options.latencyMs;
  }

  connect(): void {
    const network = this.#network;
    const startMs = network.clock.nowMs();
    network.at(startMs + this.#latencyMs, () => {
      const control = network.controls.get(this.address);
      if (!this.#isOpen) return;
      if (control === undefined) return this.cut();
      network.noteArrival();
      if (control.hub.admit() !== 'admitted') {
        network.turnedAway++;
        return this.cut();
      }
      network.noteHandshake();
      const doneMs = startMs + this.#latencyMs * (2 * HANDSHAKE_TRIPS + 1);
      this.#toldMs = Math.max(this.#toldMs, doneMs - this.#latencyMs);
      this.#sentMs = doneMs;
      this.#control = control;
      control.work.turn(() => this.#accept(control.hub));
    });
  }

  /** The connection is lost: both ends learn of it, as soon as they can. */
  cut(): void {
    const fault = pushFault('push.away', 'The connection is lost');
    this.#close(() => {
      this.#options.end.gone(fault);
      this.#work(() => this.#server?.gone(fault));
    });
  }

  /** Of the control plane at the other end. */
  #work(action: () => void): void {
    this.#control?.work.turn(action);
  }

  #accept(hub: Hub): void {
    const network = this.#network;
    this.#server = hub.accept(this.#options.identity, {
      send: (message) => {
        const bytes = bytesToProxy(message);
        network.toProxies.messages++;
        network.toProxies.bytes += bytes;
        if (message.kind === 'delta') network.deltas++;
        this.#sentMs = this.#leavesAt(this.#sentMs, bytes);
        network.at(this.#sentMs, () => this.#isOpen && this.#work(() => this.#server?.drained()));
        network.at(this.#sentMs + this.#latencyMs, () => this.#isOpen && this.#options.end.receive(message));
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
