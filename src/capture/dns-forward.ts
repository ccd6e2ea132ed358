/** Asks the resolvers of the system what is not ours to answer. */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';
import type { Clock } from '../base/clock.ts';
import { isAnswerTo, MESSAGE_BYTES_MAX, type Question, withId } from './dns-message.ts';

export interface Upstream {
  readonly address: string;
  readonly port: number;
}

export interface ForwarderOptions {
  /** In their order, as of now. */
  readonly upstreams: () => readonly Upstream[];
  readonly clock: Clock;
  /** For each server. Those who ask wait 5 s, as resolv.conf has it, and then ask again. */
  readonly waitMs?: number;
}

/** Questions on their way. Beyond: refused, and asked again by whoever asked. */
const OPEN_MAX = 256;

const WAIT_MS = 2_000;

/** As libc does: more than three servers are not asked. */
const UPSTREAMS_MAX = 3;

export class Forwarder {
  readonly #options: ForwarderOptions;
  #open = 0;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /** @returns undefined when nobody answers */
  async ask(query: Uint8Array, question: Question, transport: 'udp' | 'tcp'): Promise<Uint8Array | undefined> {
    if (this.#open >= OPEN_MAX) return undefined;
    this.#open++;
    try {
      for (const upstream of this.#options.upstreams().slice(0, UPSTREAMS_MAX)) {
        // A fresh id and a fresh port for each: an answer has to guess both (RFC 5452 section 9.2).
        const asked = withId(query, randomInt(0x1_0000));
        // oxlint-disable-next-line no-await-in-loop -- one server after the other
        const answer = await (transport === 'udp'
          ? this.#byUdp(upstream, asked, question)
          : this.#byTcp(upstream, asked));
        if (answer !== undefined && isAnswerTo(asked, question.end, answer)) return withId(answer, question.id);
      }
      return undefined;
    } finally {
      this.#open--;
    }
  }

  #byUdp({ address, port }: Upstream, query: Uint8Array, { end }: Question): Promise<Uint8Array | undefined> {
    const { promise, resolve } = Promise.withResolvers<Uint8Array | undefined>();
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    const cancel = this.#after(resolve);
    socket.on('error', () => resolve(undefined));
    // What is no answer to this may be somebody's guess: the right one may still come.
    socket.on('message', (answer) => isAnswerTo(query, end, answer) && resolve(answer));
    // Connected: the system drops what comes from anybody else.
    socket.connect(port, address, () => socket.send(query));
    return promise.finally(() => {
      cancel();
      socket.close();
    });
  }

  #byTcp({ address, port }: Upstream, query: Uint8Array): Promise<Uint8Array | undefined> {
    const { promise, resolve } = Promise.withResolvers<Uint8Array | undefined>();
    const socket = connect({ host: address, port });
    const cancel = this.#after(resolve);
    const frames = new Frames();
    socket.on('error', () => resolve(undefined));
    socket.on('close', () => resolve(undefined));
    socket.on('data', (bytes: Buffer) => {
      const [answer] = frames.push(bytes);
      if (answer !== undefined) resolve(answer);
    });
    socket.write(framed(query));
    return promise.finally(() => {
      cancel();
      socket.destroy();
    });
  }

  #after(resolve: (nothing: undefined) => void): () => void {
    const { clock, waitMs = WAIT_MS } = this.#options;
    return clock.after(waitMs, () => resolve(undefined));
  }
}

/** Over TCP each message has its length before it (RFC 1035 section 4.2.2). */
export function framed(message: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from([message.length >> 8, message.length & 0xff]), message]);
}

/** Messages out of a stream. Holds at most one that is not whole. */
export class Frames {
  #held: Buffer = Buffer.alloc(0);

  push(bytes: Uint8Array): Uint8Array[] {
    this.#held = Buffer.concat([this.#held, bytes]);
    const whole: Uint8Array[] = [];
    while (this.#held.length >= 2) {
      const end = 2 + Math.min(this.#held.readUInt16BE(0), MESSAGE_BYTES_MAX);
      if (this.#held.length < end) break;
      whole.push(this.#held.subarray(2, end));
      this.#held = this.#held.subarray(end);
    }
    return whole;
  }
}
