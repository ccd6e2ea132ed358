/**
 * What is special about a request of gRPC. The call stands between an exchange
 * and its client: answers pass through it, so that whatever the exchange says
 * (an upstream's answer, a fault, a reply of a filter, a cut) reaches the client
 * in the form that its call has: trailers, trailers-only, or gRPC-Web.
 */
import { Fault } from '../base/fault.ts';
import { GRPC_CODES } from '../base/grpc-codes.ts';
import type { Reply } from '../filter/filter.ts';
import { MessageMeter, type MeterVerdict } from '../http/grpc/message-meter.ts';
import { encodeMessage, formOf, type GrpcForm, grpcOfHttp, inForm, parseStatus } from '../http/grpc/status.ts';
import { formatTimeout, parseTimeout } from '../http/grpc/timeout.ts';
import { encodeText, notBase64, TextDecoder64, trailerFrame } from '../http/grpc/web.ts';
import { Headers } from '../http/headers.ts';
import type { RequestHead, ResponseHead } from '../http/message.ts';
import type { ClientFacts, ServerStream } from '../http/stream.ts';
import type { Tunnel } from '../http/tunnel.ts';
import type { PlanRetry, PlanRule } from '../ir/plan.ts';
import type { OwnAnswer } from './answer.ts';

/** Fields of an answer that say how its call ended: trailers, wherever they stand. */
const STATUS_FIELDS = ['grpc-status', 'grpc-message', 'grpc-status-details-bin'] as const;

/** Fields that speak of a body which is not passed on. */
const BODY_FIELDS = ['content-type', 'content-encoding', 'content-language', 'content-range', 'etag', 'last-modified'];

/** The call of a request; undefined for a request that is not of gRPC. Cheap for all others: they are not POST, or their type says so. */
export function grpcCallOf(stream: ServerStream): GrpcCall | undefined {
  const { request } = stream;
  if (request.method !== 'POST') return undefined;
  const form = formOf(request.headers.get('content-type'));
  return form === undefined ? undefined : new GrpcCall(stream, form);
}

/** Why a rule does not take this request: rules of a GRPCRoute take gRPC, and questions of browsers about it. */
export function refusalOf(call: GrpcCall | undefined, rule: PlanRule, request: RequestHead): Fault | undefined {
  if (call !== undefined) return call.enter(rule);
  if (rule.grpc === undefined || request.method === 'OPTIONS') return undefined;
  return new Fault('grpc.expected', 'The rule of a GRPCRoute takes POST requests of type application/grpc');
}

/** The shorter of what the rule and the client allow; undefined for no bound. */
export function wholeMsOf(call: GrpcCall | undefined, rule: PlanRule, exchangeMs: number): number | undefined {
  const own = rule.timeouts.requestMs ?? (exchangeMs > 0 ? exchangeMs : undefined);
  return call === undefined ? own : call.boundBy(own);
}

/** Whether a retry policy asks for another attempt instead of this answer. */
export function isRetried(retry: PlanRetry | undefined, head: ResponseHead, call: GrpcCall | undefined): boolean {
  if (retry === undefined) return false;
  if (retry.codes.includes(head.status)) return true;
  return call !== undefined && retry.grpcCodes?.includes(earlyStatusOf(head)) === true;
}

/** Status of an answer that is over with its head; -1 when messages may follow. */
function earlyStatusOf(head: ResponseHead): number {
  const said = head.headers.get('grpc-status');
  if (said !== undefined) return parseStatus(said);
  return isGrpcAnswer(head) ? -1 : grpcOfHttp(head.status);
}

function isGrpcAnswer({ status, headers }: ResponseHead): boolean {
  return status === 200 && formOf(headers.get('content-type')) !== undefined;
}

const FAULT_OF: Readonly<Record<Exclude<MeterVerdict, 'ok'>, 'grpc.message-too-large' | 'grpc.malformed'>> = {
  'too-large': 'grpc.message-too-large',
  malformed: 'grpc.malformed',
};

export class GrpcCall implements ServerStream {
  /** How the call ended, as far as is known; -1 before that. */
  status = -1;
  /** The answer of the upstream broke a rule: its end was withheld, and the exchange must give it up. */
  answerFault: Fault | undefined;

  readonly #inner: ServerStream;
  readonly #form: GrpcForm;
  /** The upstream is spoken to in plain gRPC, whatever the client speaks. False for gRPC-Web that is passed on as it is. */
  #native: boolean;
  #decoder: TextDecoder64 | undefined;
  #requestMeter: MessageMeter | undefined;
  #answerMeter: MessageMeter | undefined;
  /** What the client gives the call. */
  #askedMs: number | undefined;
  #deadlineMs = 0;
  #head: 'none' | 'begun' | 'swallow' = 'none';
  /** Of an answer that is over with its head, in gRPC-Web: they are the body. */
  #early: Headers | undefined;

  constructor(stream: ServerStream, form: GrpcForm) {
    this.#inner = stream;
    this.#form = form;
    this.#native = form === 'grpc';
  }

  // --- the request -------------------------------------------------------------------------------------------------

  /** The rule is known. Puts the request into the form that its upstream wants. */
  enter({ grpc }: Pick<PlanRule, 'grpc'>): Fault | undefined {
    const { request } = this;
    // All lines together: of two, each server would believe another.
    const timeout = request.headers.combined('grpc-timeout');
    if (timeout !== undefined) {
      this.#askedMs = parseTimeout(timeout);
      if (this.#askedMs === undefined) return new Fault('request.malformed', 'grpc-timeout is not valid');
    }
    if (grpc !== undefined) {
      this.#requestMeter = new MessageMeter(grpc.requestMessageBytesMax);
      if (this.#form !== 'grpc') this.#translate(request);
    }
    if (this.#native) this.#answerMeter = new MessageMeter(grpc?.answerMessageBytesMax ?? 0);
    return undefined;
  }

  #translate(request: RequestHead): void {
    const { headers } = request;
    this.#native = true;
    headers.set('content-type', inForm(headers.get('content-type')!, 'grpc'));
    const agent = headers.get('x-user-agent');
    if (agent !== undefined) headers.set('user-agent', agent);
    for (const name of ['x-user-agent', 'x-grpc-web', 'accept']) headers.delete(name);
    if (this.#form !== 'web-text') return;
    this.#decoder = new TextDecoder64();
    if (request.bodyLength > 0) request.bodyLength = -1;
  }

  /** After {@link GrpcCall.enter}: the time that the call may take: the least of the client's and `ownMs`. */
  boundBy(ownMs: number | undefined): number | undefined {
    const askedMs = this.#askedMs;
    if (askedMs === undefined) return ownMs;
    return ownMs === undefined ? askedMs : Math.min(ownMs, askedMs);
  }

  /** The deadline by the clock of the timer wheel. */
  armed(deadlineMs: number): void {
    this.#deadlineMs = deadlineMs;
  }

  /** Each attempt is told how much time is left. */
  beforeAttempt(nowMs: number): void {
    if (this.#deadlineMs > 0) this.request.headers.set('grpc-timeout', formatTimeout(this.#deadlineMs - nowMs));
  }

  /** A piece of the request as the upstream gets it. */
  requestBody(bytes: Buffer): Buffer | Fault {
    const decoded = this.#decoder === undefined ? bytes : this.#decoder.decode(bytes);
    if (decoded instanceof Fault || this.#requestMeter === undefined) return decoded;
    const verdict = this.#requestMeter.take(decoded);
    return verdict === 'ok' ? decoded : new Fault(FAULT_OF[verdict], `Request: ${meterText(verdict)}`);
  }

  requestEnd(): Fault | undefined {
    return this.#decoder?.complete === false ? notBase64() : undefined;
  }

  // --- answers of upstreams ----------------------------------------------------------------------------------------

  /** The head of an upstream's answer, before filters see it: what is not of gRPC becomes a status of gRPC. */
  readAnswer(head: ResponseHead): void {
    if (!this.#native) return;
    const { headers } = head;
    const said = headers.get('grpc-status');
    if (said !== undefined) this.status = parseStatus(said);
    if (said === undefined ? isGrpcAnswer(head) : head.status === 200) return;
    this.status = earlyStatusOf(head);
    if (said === undefined) setStatus(headers, this.status, `The upstream answered with HTTP status ${head.status}`);
    for (const name of BODY_FIELDS) headers.delete(name);
    headers.set('content-type', 'application/grpc');
    head.status = 200;
    head.reason = 'OK';
    head.bodyLength = 0;
    this.#head = 'swallow';
  }

  sendHead(head: ResponseHead): void {
    if (this.#head === 'none') this.#head = 'begun';
    if (this.#form !== 'grpc' && this.#native) this.#translateHead(head);
    this.#inner.sendHead(head);
  }

  #translateHead(head: ResponseHead): void {
    const { headers } = head;
    const type = headers.get('content-type');
    if (formOf(type) === 'grpc') headers.set('content-type', inForm(type!, this.#form));
    if (!headers.has('grpc-status')) {
      if (head.bodyLength > 0) head.bodyLength = -1;
      return;
    }
    this.#early = new Headers();
    for (const name of STATUS_FIELDS) {
      const value = headers.get(name);
      if (value === undefined) continue;
      this.#early.add(name, value);
      headers.delete(name);
    }
    head.bodyLength = -1;
  }

  sendBody(bytes: Buffer): boolean {
    if (this.#head === 'swallow' || this.answerFault !== undefined) return true;
    const meter = this.#answerMeter;
    if (meter === undefined) return this.#inner.sendBody(bytes);
    const verdict = meter.take(bytes);
    if (verdict === 'ok') return this.#pass(bytes);
    this.answerFault = new Fault(FAULT_OF[verdict], `Answer: ${meterText(verdict)}`);
    return meter.boundary <= 0 || this.#pass(bytes.subarray(0, meter.boundary));
  }

  #pass(bytes: Buffer): boolean {
    return this.#inner.sendBody(this.#form === 'web-text' ? encodeText(bytes) : bytes);
  }

  sendEnd(trailers: Headers | undefined): void {
    const said = trailers?.get('grpc-status');
    if (said !== undefined && this.status < 0) this.status = parseStatus(said);
    if (this.#head === 'swallow' && this.#form === 'grpc') return this.#inner.sendEnd(undefined);
    if (this.#form === 'grpc' || !this.#native) return this.#inner.sendEnd(trailers);
    this.#pass(trailerFrame(this.#early ?? trailers ?? statusOnly(GRPC_CODES.UNKNOWN, 'The upstream gave no status')));
    this.#inner.sendEnd(undefined);
  }

  // --- answers of our own ------------------------------------------------------------------------------------------

  /** A fault before the answer began: an answer that is over with its head. */
  faultAnswer(fault: Fault, requestId: string): OwnAnswer {
    const { grpc, title } = fault.kind;
    return this.ownAnswer(grpc, `${title} (${fault.code})`, [['x-request-id', requestId]]);
  }

  replyAnswer({ status, headers }: Reply): OwnAnswer {
    const kept = headers.filter(([name]) => !BODY_FIELDS.includes(name.toLowerCase()));
    return this.ownAnswer(grpcOfHttp(status), `HTTP status ${status}`, kept);
  }

  /** An answer that is over with its head. */
  ownAnswer(status: number, message: string, fields: Reply['headers'] = []): OwnAnswer {
    this.status = status;
    const headers = Headers.of(fields);
    headers.add('server', 'fourways');
    headers.add('content-type', 'application/grpc');
    setStatus(headers, status, message);
    // From here on the answer is ours, also in a call that was passed on as it is.
    this.#native = true;
    this.#answerMeter ??= new MessageMeter(0);
    return { head: { status: 200, reason: 'OK', headers, bodyLength: 0 }, body: NOTHING };
  }

  /** The answer began and cannot be completed. Between two messages it may still end with a status. */
  endBy(fault: Fault): boolean {
    const meter = this.#answerMeter;
    const between = meter !== undefined && (this.answerFault === undefined ? meter.atBoundary : meter.boundary >= 0);
    const { grpc, title, status } = fault.kind;
    if (this.#head === 'swallow') {
      this.sendEnd(undefined);
      return true;
    }
    this.status = grpc;
    if (this.#head !== 'begun' || !between || status === 0) return false;
    this.#early = undefined;
    this.sendEnd(statusOnly(grpc, `${title} (${fault.code})`));
    return true;
  }

  /** The status that log and metrics name; -1 when the upstream gave none. */
  endedWith(fault: Fault | undefined): number {
    return this.status >= 0 || fault === undefined ? this.status : fault.kind.grpc;
  }

  // --- the client's side, as it is ---------------------------------------------------------------------------------

  get request(): RequestHead {
    return this.#inner.request;
  }

  get facts(): ClientFacts {
    return this.#inner.facts;
  }

  get seen(): number {
    return this.#inner.seen;
  }

  get version(): string {
    return this.#inner.version;
  }

  get startedMs(): number {
    return this.#inner.startedMs;
  }

  sendContinue(): void {
    this.#inner.sendContinue();
  }

  pauseBody(): void {
    this.#inner.pauseBody();
  }

  resumeBody(): void {
    this.#inner.resumeBody();
  }

  sendInformational(head: ResponseHead): void {
    this.#inner.sendInformational(head);
  }

  flush(): void {
    this.#inner.flush();
  }

  cut(): void {
    this.#inner.cut();
  }

  closeAfterAnswer(): void {
    this.#inner.closeAfterAnswer();
  }

  switchProtocols(head: ResponseHead): Tunnel {
    return this.#inner.switchProtocols(head);
  }
}

const NOTHING = Buffer.alloc(0);

function setStatus(headers: Headers, status: number, message: string): void {
  headers.set('grpc-status', String(status));
  if (message !== '') headers.set('grpc-message', encodeMessage(message));
}

export function statusOnly(status: number, message: string): Headers {
  const headers = new Headers();
  setStatus(headers, status, message);
  return headers;
}

function meterText(verdict: Exclude<MeterVerdict, 'ok'>): string {
  return verdict === 'malformed' ? 'a message has a flag that is neither 0 nor 1' : 'a message is longer than allowed';
}
