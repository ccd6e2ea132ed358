/**
 * Requests of clients that take us for their forward proxy (HTTP_PROXY): in absolute form, which are routed like any other
 * once their authority has chosen a listener, and CONNECT, inside of which a connection of that listener begins.
 *
 * A service that is not in the plan may be in the next one: whoever knows is asked, and the request waits a little.
 *
 * @see RFC 9110 section 9.3.6, RFC 9112 section 3.2.2
 */
import { Fault } from '../base/fault.ts';
import { Timed, type TimerWheel } from '../base/timers.ts';
import type { Headers } from '../http/headers.ts';
import { serviceNameOf } from '../http/proxy-target.ts';
import type { RequestSink, ServerStream, ServerStreamEvents } from '../http/stream.ts';
import { owned } from '../net/read-buffer.ts';
import type { Exchange } from './exchange.ts';
import { serviceFor } from './listener-choice.ts';
import type { ListenerView, PortView } from './runtime.ts';

/** How long a request waits for a plan that has its service. */
const WAIT_MS = 1_000;

/** Requests of one port that wait at a time. Beyond: they are told at once that there is no such service. */
const WAITING_MAX = 1_024;

/** Asks for a service that the plan does not have. The promise is kept when it is sure whether a plan will have it. */
export type AskForService = (name: string) => Promise<void>;

/** What a port does for its forward proxy. */
export interface ProxyPort {
  readonly view: PortView;
  readonly wheel: TimerWheel;
  readonly askForService: AskForService | undefined;
  /** Begins the exchange of a request. */
  exchange(stream: ServerStream): Exchange;
  refuse(stream: ServerStream, fault: Fault): void;
  /**
   * Begins a connection of a listener inside of a tunnel, or refuses it where no upstream can be reached.
   *
   * @returns what gives it up, as long as nothing was answered
   */
  tunnel(stream: ServerStream, to: { readonly name: string; readonly listener: ListenerView }): () => void;
  sayUnknown(name: string, client: string): void;
}

export class ForwardProxy implements RequestSink {
  readonly #port: ProxyPort;
  readonly #waiting = new Set<Waiting>();

  constructor(port: ProxyPort) {
    this.#port = port;
  }

  onRequest(stream: ServerStream): ServerStreamEvents {
    const { request, facts } = stream;
    const isConnect = request.method === 'CONNECT';
    const name = serviceNameOf(request.authority, HTTP_PORT);
    const call = isConnect ? new ConnectCall(this.#port, stream, name) : undefined;
    if (serviceFor(this.#port.view, name) instanceof Fault) {
      if (name !== undefined && this.#mayWait()) {
        const late = call ?? new LateExchange(this.#port, stream);
        late.await(this.#wait(name, facts.peerIp, () => late.goOn()));
        return late;
      }
      this.#port.sayUnknown(name ?? '', facts.peerIp);
    }
    return call ?? this.#port.exchange(stream);
  }

  onRefused(stream: ServerStream, fault: Fault): void {
    this.#port.refuse(stream, fault);
  }

  /** The port shows a new plan. */
  onPlan(): void {
    for (const waiting of this.#waiting) {
      if (!(serviceFor(this.#port.view, waiting.name) instanceof Fault)) waiting.settle();
    }
  }

  #mayWait(): boolean {
    return this.#port.askForService !== undefined && this.#waiting.size < WAITING_MAX;
  }

  /** @returns what gives up waiting */
  #wait(name: string, client: string, goOn: () => void): () => void {
    const { wheel, askForService } = this.#port;
    const isAsked = [...this.#waiting].some((other) => other.name === name);
    const stop = (): void => {
      wheel.disarm(timer);
      this.#waiting.delete(waiting);
    };
    const settle = (): void => {
      stop();
      if (serviceFor(this.#port.view, name) instanceof Fault) this.#port.sayUnknown(name, client);
      goOn();
    };
    const waiting: Waiting = { name, settle };
    const timer = new Timed(settle);
    this.#waiting.add(waiting);
    wheel.arm(timer, WAIT_MS);
    const answered = (): void => this.#settleAll(name);
    if (!isAsked) askForService!(name).then(answered, answered);
    return stop;
  }

  #settleAll(name: string): void {
    for (const waiting of this.#waiting) if (waiting.name === name) waiting.settle();
  }
}

interface Waiting {
  readonly name: string;
  settle(): void;
}

/** RFC 9110 section 4.2.1. */
const HTTP_PORT = 80;

/** A request whose service may come with the next plan. What comes of its body until then, at most one read, is kept. */
class LateExchange implements ServerStreamEvents {
  readonly #port: ProxyPort;
  readonly #stream: ServerStream;
  #giveUp: () => void = ignore;
  #exchange: Exchange | undefined;
  #pieces: Buffer[] = [];
  #end: { readonly trailers: Headers | undefined } | undefined;

  constructor(port: ProxyPort, stream: ServerStream) {
    this.#port = port;
    this.#stream = stream;
  }

  await(giveUp: () => void): void {
    this.#giveUp = giveUp;
    if (this.#stream.request.bodyLength !== 0) this.#stream.pauseBody();
  }

  goOn(): void {
    const exchange = this.#port.exchange(this.#stream);
    this.#exchange = exchange;
    // Once it has ended, the connection is with another request.
    if (exchange.times.endMs < 0) {
      if (this.#end === undefined) this.#stream.resumeBody();
      for (const piece of this.#pieces.splice(0)) exchange.onRequestBody(piece);
      if (this.#end !== undefined) exchange.onRequestEnd(this.#end.trailers);
      exchange.onRequestIdle();
    }
    this.#stream.flush();
  }

  onRequestBody(bytes: Buffer): void {
    if (this.#exchange === undefined) this.#pieces.push(owned(bytes));
    else this.#exchange.onRequestBody(bytes);
  }

  onRequestEnd(trailers: Headers | undefined): void {
    if (this.#exchange === undefined) this.#end = { trailers };
    else this.#exchange.onRequestEnd(trailers);
  }

  onRequestFault(fault: Fault): void {
    if (this.#exchange !== undefined) return this.#exchange.onRequestFault(fault);
    this.#giveUp();
    this.#port.refuse(this.#stream, fault);
  }

  onClientGone(): void {
    this.#giveUp();
    this.#exchange?.onClientGone();
  }

  onClientWritable(): void {
    this.#exchange?.onClientWritable();
  }

  onRequestIdle(): void {
    this.#exchange?.onRequestIdle();
  }
}

/** A client asks for a tunnel. It begins when the request has ended, so that what came behind it is in the tunnel. */
class ConnectCall implements ServerStreamEvents {
  readonly #port: ProxyPort;
  readonly #stream: ServerStream;
  readonly #name: string;
  #giveUp: (() => void) | undefined;

  constructor(port: ProxyPort, stream: ServerStream, name: string | undefined) {
    this.#port = port;
    this.#stream = stream;
    this.#name = name ?? '';
  }

  await(giveUp: () => void): void {
    this.#giveUp = giveUp;
  }

  goOn(): void {
    const listener = serviceFor(this.#port.view, this.#name);
    if (!(listener instanceof Fault)) {
      this.#giveUp = this.#port.tunnel(this.#stream, { name: this.#name, listener });
      return;
    }
    // What follows was meant for the tunnel, and must not be read as a request.
    this.#stream.closeAfterAnswer();
    this.#port.refuse(this.#stream, listener);
    this.#stream.flush();
  }

  onRequestEnd(): void {
    if (this.#giveUp === undefined) this.goOn();
  }

  onClientGone(): void {
    this.#giveUp?.();
  }

  onRequestBody(): void {}
  onRequestFault(): void {}
  onClientWritable(): void {}
  onRequestIdle(): void {}
}

const ignore = (): void => undefined;
