/** One request of an HTTP/2 connection and its answer: what the proxy sees of it. Used again for later requests. */
import { Fault } from '../../base/fault.ts';
import type { ConnectionLimits } from '../../base/limits.ts';
import { Timed, type TimerWheel } from '../../base/timers.ts';
import type { Headers } from '../headers.ts';
import { emptyRequest, type RequestHead, type ResponseHead } from '../message.ts';
import type { ClientFacts, RequestSink, ServerStream, ServerStreamEvents } from '../stream.ts';
import type { TargetReader } from '../target-reader.ts';
import type { Tunnel } from '../tunnel.ts';
import type { H2Core } from './core.ts';
import { H2_ERROR } from './frame.ts';
import type { FieldList } from './hpack/field-list.ts';
import { MalformedRequest, readRequestHead } from './request-head.ts';
import { H2Stream } from './stream.ts';
import { StreamTunnel } from './stream-tunnel.ts';

/** What a connection lends to its streams. */
export interface ServerStreamHome {
  readonly core: H2Core<H2ServerStream>;
  readonly facts: ClientFacts;
  readonly sink: RequestSink;
  readonly wheel: TimerWheel;
  readonly limits: ConnectionLimits;
  readonly bodyIdleMs: number;
  readonly target: TargetReader;
}

/** `:status` and a length, as `charsMax` of Headers would count them. */
const ANSWER_CHARS = 64;

/** Bytes of body that the answer may still have. */
const ANY_LENGTH = -1;

export class H2ServerStream extends H2Stream implements ServerStream {
  readonly version = '2.0';
  readonly startedMs = 0;
  readonly request: RequestHead;
  seen = 0;

  readonly #home: ServerStreamHome;
  readonly #timer: Timed;
  #events: ServerStreamEvents | undefined;
  #tunnel: StreamTunnel<H2ServerStream> | undefined;
  #continueOwed = false;
  #extended = false;
  #answerStarted = false;
  #answerEnded = false;
  /** The answer has no body whatever is sent: HEAD, 204, 304. */
  #bodiless = false;
  #left = ANY_LENGTH;
  /** The request is malformed: its stream ends with this instead of an end (RFC 9113 section 8.1.1). */
  #resetCode: number | undefined;

  constructor(home: ServerStreamHome) {
    super();
    this.#home = home;
    this.#timer = new Timed(() => this.#onBodyTimeout());
    this.request = emptyRequest(home.facts.scheme);
  }

  get facts(): ClientFacts {
    return this.#home.facts;
  }

  override renew(): void {
    super.renew();
    this.#home.wheel.disarm(this.#timer);
    this.#events = undefined;
    this.#tunnel = undefined;
    this.#continueOwed = false;
    this.#extended = false;
    this.#answerStarted = false;
    this.#answerEnded = false;
    this.#bodiless = false;
    this.#left = ANY_LENGTH;
    this.#resetCode = undefined;
  }

  // --- the wire speaks ---------------------------------------------------------------------------------------------

  onFields(list: FieldList, ended: boolean): void {
    const { sink } = this.#home;
    this.trailing = true;
    this.seen = list.seen;
    const fault = readRequestHead(list, ended, this.request, this.#home);
    if (fault !== undefined) return this.#refuse(fault, list);
    this.#extended = list.protocol !== undefined;
    if (!ended) {
      this.contentLength = this.#extended ? -1 : list.contentLength;
      this.#continueOwed = this.request.expectContinue;
      // What an extended CONNECT sends belongs to the tunnel, if there will be one.
      if (this.#extended) this.paused = true;
      else this.#armBody();
    }
    const events = sink.onRequest(this);
    if (this.#answerEnded || this.state === 'closed') return;
    this.#events = events;
    if (ended || this.#extended) events.onRequestEnd(undefined);
  }

  /** A head that was not understood says nothing; above all not what the one before it said. */
  #refuse(fault: Fault, list: FieldList): void {
    const { request } = this;
    this.broken = true;
    if (fault instanceof MalformedRequest) this.#resetCode = H2_ERROR.PROTOCOL_ERROR;
    request.method = list.method;
    request.authority = '';
    request.host = '';
    request.path = '';
    request.query = '';
    request.bodyLength = 0;
    request.upgrade = undefined;
    request.expectContinue = false;
    if (list.outcome !== 'ok') request.headers.reset('');
    this.#home.sink.onRefused(this, fault);
  }

  onBody(bytes: Buffer): void {
    if (this.#tunnel !== undefined) return this.#tunnel.onBytes(bytes);
    const events = this.#events;
    if (events === undefined) return; // after an early answer
    this.#continueOwed = false; // the client did not wait
    const { bodyBytesMax } = this.#home.limits;
    if (bodyBytesMax > 0 && this.bodyBytes > bodyBytesMax) {
      this.broken = true;
      return events.onRequestFault(new Fault('request.body-too-large', `Body is longer than ${bodyBytesMax} bytes`));
    }
    this.#armBody();
    events.onRequestBody(bytes);
  }

  onBodyEnd(trailers: Headers | undefined): void {
    this.#home.wheel.disarm(this.#timer);
    if (this.#tunnel !== undefined) this.#tunnel.onEnd();
    else this.#events?.onRequestEnd(trailers);
  }

  onFed(): void {
    this.#events?.onRequestIdle();
  }

  onBroken(what: 'malformed' | 'too-large', detail: string): void {
    if (what === 'malformed') this.#resetCode = H2_ERROR.PROTOCOL_ERROR;
    const events = this.#events;
    if (events === undefined) return this.#home.core.reset(this, H2_ERROR.PROTOCOL_ERROR);
    const code = what === 'malformed' ? 'request.malformed' : 'request.headers-too-large';
    events.onRequestFault(new Fault(code, detail));
  }

  onReset(): void {
    this.#end();
  }

  onWritable(): void {
    if (this.#tunnel !== undefined) this.#tunnel.onWritable();
    else this.#events?.onClientWritable();
  }

  onStalled(): void {
    this.#end();
    if (this.state !== 'closed') this.#home.core.reset(this, H2_ERROR.CANCEL);
  }

  /** An answer that came before the request was complete: the rest is not wanted (RFC 9113 section 8.1). */
  onSent(): void {
    if (this.#tunnel !== undefined) return this.#tunnel.onFinished();
    if (this.state !== 'closed') this.#home.core.reset(this, H2_ERROR.NO_ERROR);
  }

  /** For the connection: the stream is closed, however it came to that. */
  onClosed(): void {
    this.#home.wheel.disarm(this.#timer);
    this.#tunnel?.onClosed();
    this.#tunnel = undefined;
  }

  #end(): void {
    const events = this.#events;
    const tunnel = this.#tunnel;
    this.#events = undefined;
    this.#tunnel = undefined;
    this.#home.wheel.disarm(this.#timer);
    tunnel?.onGone();
    events?.onClientGone();
  }

  #armBody(): void {
    const { wheel, bodyIdleMs } = this.#home;
    if (bodyIdleMs > 0) wheel.arm(this.#timer, bodyIdleMs);
  }

  #onBodyTimeout(): void {
    if (this.paused || this.state !== 'open') return;
    this.broken = true;
    this.#events?.onRequestFault(new Fault('request.timeout', 'Body stopped arriving'));
  }

  // --- the proxy speaks --------------------------------------------------------------------------------------------

  sendContinue(): void {
    if (!this.#continueOwed) return;
    this.#continueOwed = false;
    this.#home.core.beginFields(ANSWER_CHARS).status(100);
    this.#home.core.endFields(this);
  }

  pauseBody(): void {
    this.#home.core.pause(this);
  }

  resumeBody(): void {
    if (this.paused && !this.#extended && this.state === 'open') this.#armBody();
    if (!this.#extended) this.#home.core.resume(this);
  }

  sendInformational(head: ResponseHead): void {
    if (this.#answerStarted || this.state === 'closed') return;
    if (head.status === 100) return this.sendContinue();
    if (head.status === 101) return; // section 8.6
    this.#writeHead(head.status, head, -1);
  }

  sendHead(head: ResponseHead): void {
    if (this.#answerStarted || this.state === 'closed') return;
    this.#answerStarted = true;
    const { bodyLength } = head;
    let { status } = head;
    // A 2xx without a switch would tell the client that it has its tunnel (RFC 8441 section 5).
    if (this.#extended && status >= 200 && status < 300) status = 502;
    if (this.request.method === 'HEAD' || status === 304) {
      this.#bodiless = true;
      this.#writeHead(status, head, bodyLength > 0 ? bodyLength : -1);
    } else if (status === 204) {
      this.#bodiless = true;
      this.#writeHead(status, head, -1);
    } else {
      this.#left = bodyLength < 0 ? ANY_LENGTH : bodyLength;
      this.#writeHead(status, head, bodyLength);
    }
  }

  #writeHead(status: number, { headers }: ResponseHead, length: number): void {
    const { core } = this.#home;
    const encoder = core.beginFields(headers.charsMax + ANSWER_CHARS);
    encoder.status(status);
    encoder.headers(headers);
    if (length >= 0) encoder.field('content-length', String(length));
    core.endFields(this);
  }

  sendBody(bytes: Buffer): boolean {
    if (this.#bodiless || this.state === 'closed') return true;
    if (this.#left !== ANY_LENGTH) {
      if (bytes.length > this.#left) {
        this.cut();
        return false;
      }
      this.#left -= bytes.length;
    }
    return this.#home.core.sendBody(this, bytes);
  }

  sendEnd(trailers: Headers | undefined): void {
    if (this.state === 'closed' || this.#answerEnded) return;
    if (this.#left > 0) return this.cut();
    const { core } = this.#home;
    this.#answerEnded = true;
    this.#events = undefined;
    if (this.#resetCode !== undefined) return core.reset(this, this.#resetCode);
    // What is held of the request, or still comes, nobody wants.
    core.resume(this);
    core.sendEnd(this, this.#bodiless ? undefined : trailers);
  }

  /** Nothing waits here for company: all that is written leaves at the end of the turn. */
  flush(): void {}

  cut(): void {
    if (this.state === 'closed') return;
    this.#answerEnded = true;
    this.#events = undefined;
    this.#home.wheel.disarm(this.#timer);
    this.#home.core.reset(this, this.#resetCode ?? H2_ERROR.INTERNAL_ERROR);
  }

  /** Other requests of the connection go on: an answer ends its stream, not them. */
  closeAfterAnswer(): void {}

  switchProtocols(head: ResponseHead): Tunnel {
    const { core, wheel } = this.#home;
    wheel.disarm(this.#timer);
    // RFC 8441 section 5: 200 is the agreement.
    head.headers.delete('upgrade');
    this.#answerStarted = true;
    this.#writeHead(200, head, -1);
    this.#events = undefined;
    this.#tunnel = new StreamTunnel(core, this);
    return this.#tunnel;
  }
}
