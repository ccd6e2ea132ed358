/**
 * One request and its answer on an HTTP/2 connection to an upstream, offered to the proxy as a {@link ClientStream}.
 * Answers are held to what those of HTTP/1.1 are held to (h1/client-conn.ts): whatever wire brought it, the proxy can
 * write it on.
 */
import { Fault } from '../../base/fault.ts';
import { Timed, type TimerWheel } from '../../base/timers.ts';
import { Headers } from '../headers.ts';
import type { ResponseHead } from '../message.ts';
import type { ClientStream, ClientStreamEvents, UpstreamRequest } from '../stream.ts';
import type { H2Core } from './core.ts';
import { STATUS } from './field-rules.ts';
import { H2_ERROR, h2ErrorName } from './frame.ts';
import { type FieldList, pseudoBit } from './hpack/field-list.ts';
import { H2Stream } from './stream.ts';
import { StreamTunnel } from './stream-tunnel.ts';

/** As for HTTP/1.1: a server that never comes to the point is broken. */
const INFORMATIONAL_MAX = 32;

const STATUS_ALONE = pseudoBit(STATUS);

/** The connection, as its streams see it. */
export interface ClientStreamHost {
  readonly core: H2Core<H2ClientStream>;
  readonly wheel: TimerWheel;
  /** Longest silence while an answer is awaited or under way; 0 for none. */
  readonly idleMs: number;
  /** The upstream offers extended CONNECT. */
  readonly takesTunnels: boolean;
  sendHead(stream: H2ClientStream, request: UpstreamRequest): void;
  /** @returns whether the request can go another way */
  onHttp1Required(): boolean;
  /** Why the connection was lost. */
  lostFault(answered: boolean): Fault;
}

export class H2ClientStream extends H2Stream implements ClientStream {
  uses = 0;
  answerSeen = 0;

  readonly #host: ClientStreamHost;
  #response: ResponseHead = { status: 0, reason: '', headers: new Headers(), bodyLength: 0 };
  readonly #timer: Timed;
  #events: ClientStreamEvents | undefined;
  /** Waits for the settings of the upstream: only they say whether it can be sent. */
  #waiting: UpstreamRequest | undefined;
  #tunnel: StreamTunnel<H2ClientStream> | undefined;
  #method = '';
  #connect = false;
  #answered = false;
  #requestSent = false;
  #bytesReceived = 0;
  #informational = 0;

  constructor(host: ClientStreamHost) {
    super();
    this.#host = host;
    this.#timer = new Timed(() => this.#onTimeout());
  }

  /** Makes the object ready for a request. @param uses  requests that were sent on the connection before */
  prepare(uses: number): void {
    this.renew();
    this.uses = uses;
    this.answerSeen = 0;
    this.#connect = false;
    this.#answered = false;
    this.#requestSent = false;
    this.#bytesReceived = 0;
    this.#informational = 0;
    this.#tunnel = undefined;
  }

  begin(events: ClientStreamEvents): void {
    this.#events = events;
    this.#arm();
  }

  // --- the proxy speaks --------------------------------------------------------------------------------------------

  sendHead(request: UpstreamRequest): void {
    this.#method = request.method;
    this.#connect = request.upgrade === 'websocket';
    if (request.upgrade !== undefined && !this.#connect) this.#failSoon(otherUpgrade());
    else if (this.#connect && !this.#host.core.ready) this.#waiting = request;
    else if (this.#connect && !this.#host.takesTunnels) this.#failSoon(noTunnels());
    else this.#host.sendHead(this, request);
  }

  /** The upstream has told its settings. */
  onSettings(): void {
    const request = this.#waiting;
    if (request === undefined) return;
    this.#waiting = undefined;
    if (this.#host.takesTunnels) this.#host.sendHead(this, request);
    else this.#failSoon(noTunnels());
  }

  sendBody(bytes: Buffer): boolean {
    if (!this.#isSent) return true;
    this.#arm();
    return this.#host.core.sendBody(this, bytes);
  }

  sendEnd(trailers: Headers | undefined): void {
    // The request that opens a tunnel has no end before the tunnel has.
    if (!this.#isSent || this.#connect) return;
    this.#requestSent = true;
    this.#host.core.sendEnd(this, trailers);
  }

  /** Frames of all streams leave together when the turn ends. */
  flush(): void {}

  pauseAnswer(): void {
    this.#host.core.pause(this);
    this.#host.wheel.disarm(this.#timer);
  }

  resumeAnswer(): void {
    this.#arm();
    this.#host.core.resume(this);
  }

  keepAnswerHead(): void {
    this.#response = { status: 0, reason: '', headers: new Headers(), bodyLength: 0 };
  }

  abort(): void {
    if (this.#events === undefined) return;
    this.#release();
    this.#host.core.reset(this, H2_ERROR.CANCEL);
  }

  /** Whether HEADERS went out, and somebody listens. */
  get #isSent(): boolean {
    return this.id !== 0 && this.#events !== undefined;
  }

  // --- the wire speaks ---------------------------------------------------------------------------------------------

  onFields(list: FieldList, ended: boolean): void {
    const events = this.#events;
    if (events === undefined) return;
    this.#bytesReceived += list.text.length + 1;
    this.#arm();
    if (list.outcome === 'too-large') return this.#fail(new Fault('upstream.headers-too-large', list.detail));
    if (list.outcome !== 'ok') return this.#malformed(list.detail);
    if (list.pseudos !== STATUS_ALONE) return this.#malformed('Pseudo-headers of an answer are not :status alone');
    const { status } = list;
    const response = this.#response;
    response.status = status;
    list.copyTo(response.headers);
    this.answerSeen = list.seen;
    if (status < 200) return this.#onInformational(events, list, ended);
    this.trailing = true;
    this.#answered = true;
    if (this.#connect && status < 300) return this.#switch(events, ended);
    const { contentLength } = list;
    const bodyless = this.#method === 'HEAD' || status === 304 || status === 204;
    if (ended && !bodyless && contentLength > 0) return this.#malformed('Body is shorter than Content-Length');
    this.contentLength = bodyless ? 0 : contentLength;
    response.bodyLength = status === 204 || (ended && !bodyless) ? 0 : contentLength;
    events.onAnswerHead(response);
    if (ended && this.#events === events) this.onBodyEnd(undefined);
  }

  #onInformational(events: ClientStreamEvents, { status, contentLength }: FieldList, ended: boolean): void {
    // RFC 9113 section 8.6 has no 101.
    if (status === 101) return this.#malformed('101 in HTTP/2');
    if (ended) return this.#malformed('Informational answer ends the stream');
    if (contentLength > 0) return this.#malformed('Informational answer with a body');
    if (++this.#informational > INFORMATIONAL_MAX) {
      return this.#malformed(`More than ${INFORMATIONAL_MAX} informational answers`);
    }
    events.onInformational(this.#response);
  }

  /** RFC 8441 section 5: what is 101 in HTTP/1.1 is a 2xx here. */
  #switch(events: ClientStreamEvents, ended: boolean): void {
    this.#host.wheel.disarm(this.#timer);
    const response = this.#response;
    response.status = 101;
    response.bodyLength = 0;
    response.headers.set('upgrade', 'websocket');
    // Here it proves nothing, and on HTTP/1.1 it stood beside the one that does.
    response.headers.delete('sec-websocket-accept');
    const tunnel = new StreamTunnel(this.#host.core, this);
    this.#tunnel = tunnel;
    this.#events = undefined;
    events.onSwitched(response, tunnel);
    if (ended) tunnel.onEnd();
  }

  onBody(bytes: Buffer): void {
    if (this.#tunnel !== undefined) return this.#tunnel.onBytes(bytes);
    this.#bytesReceived += bytes.length;
    if (!this.#answered) return this.#malformed('Body before the head');
    this.#arm();
    this.#events?.onAnswerBody(bytes);
  }

  onBodyEnd(trailers: Headers | undefined): void {
    if (this.#tunnel !== undefined) return this.#tunnel.onEnd();
    const events = this.#events;
    if (events === undefined) return;
    if (!this.#answered) return this.#malformed('End before the head');
    this.#release();
    // RFC 9113 section 8.1: nobody wants the rest of the request, and the upstream may not even take it.
    if (!this.#requestSent) this.#host.core.reset(this, H2_ERROR.CANCEL);
    events.onAnswerEnd(trailers);
  }

  onFed(): void {
    this.#events?.onAnswerIdle();
  }

  onSent(): void {
    this.#tunnel?.onFinished();
  }

  onWritable(): void {
    if (this.#tunnel !== undefined) return this.#tunnel.onWritable();
    this.#arm();
    this.#events?.onUpstreamWritable();
  }

  onStalled(): void {
    this.#fail(new Fault('upstream.timeout', 'Upstream does not take the request body'));
  }

  onBroken(what: 'malformed' | 'too-large', detail: string): void {
    this.#fail(new Fault(what === 'too-large' ? 'upstream.headers-too-large' : 'upstream.malformed', detail));
  }

  onReset(code: number, by: 'peer' | 'connection'): void {
    if (this.#tunnel !== undefined) return this.#tunnel.onGone();
    this.#tell(by === 'peer' ? this.#resetFault(code) : this.#host.lostFault(this.#answered));
  }

  #resetFault(code: number): Fault {
    const name = h2ErrorName(code);
    const unprocessed =
      code === H2_ERROR.REFUSED_STREAM || (code === H2_ERROR.HTTP_1_1_REQUIRED && this.#host.onHttp1Required());
    if (unprocessed && this.#bytesReceived === 0) {
      return new Fault('upstream.unprocessed', `Request was given back: ${name}`);
    }
    return new Fault('upstream.reset', `RST_STREAM ${name} ${whereOf(this.#answered)}`);
  }

  /** The stream is closed, and this object will carry another. */
  onClosed(): void {
    this.#tunnel?.onClosed();
    this.#tunnel = undefined;
    this.#release();
  }

  // --- ends --------------------------------------------------------------------------------------------------------

  #arm(): void {
    const { idleMs, wheel } = this.#host;
    if (idleMs > 0) wheel.arm(this.#timer, idleMs);
  }

  #onTimeout(): void {
    this.#fail(new Fault('upstream.timeout', 'Upstream was silent for too long'));
  }

  #malformed(detail: string): void {
    this.#fail(new Fault('upstream.malformed', detail));
  }

  /** In a turn of its own: whoever sends is not done with sending. */
  #failSoon(fault: Fault): void {
    const events = this.#events;
    setImmediate(() => {
      if (this.#events === events) this.#fail(fault);
    });
  }

  /** The stream is of no use any more, and the proxy does not know yet. */
  #fail(fault: Fault): void {
    if (this.#tunnel !== undefined) {
      this.#tunnel.onGone();
      return this.#host.core.reset(this, H2_ERROR.PROTOCOL_ERROR);
    }
    const events = this.#events;
    if (events === undefined) return;
    this.#release();
    this.#host.core.reset(this, fault.code === 'upstream.timeout' ? H2_ERROR.CANCEL : H2_ERROR.PROTOCOL_ERROR);
    events.onAttemptFault(fault, this.#bytesReceived);
  }

  /** The stream is gone. */
  #tell(fault: Fault): void {
    const events = this.#events;
    this.#release();
    events?.onAttemptFault(fault, this.#bytesReceived);
  }

  #release(): void {
    this.#events = undefined;
    this.#waiting = undefined;
    this.#host.wheel.disarm(this.#timer);
  }
}

function noTunnels(): Fault {
  return new Fault('upstream.websocket-unsupported', 'Upstream does not offer extended CONNECT');
}

/** RFC 9113 section 8.2.2: HTTP/2 has no Upgrade, and RFC 8441 gives back only what has been registered for it. */
function otherUpgrade(): Fault {
  return new Fault('upstream.upgrade-unsupported', 'HTTP/2 has no such upgrade');
}

/** For the log. */
export function whereOf(answered: boolean): string {
  return answered ? 'in the middle of its answer' : 'before its answer';
}
