/** One question to one endpoint whether it is well, on a connection of its pool. */
import { Fault } from '../../base/fault.ts';
import { Timed, type TimerWheel } from '../../base/timers.ts';
import { HEALTH_SERVICE, healthRequest, readHealthResponse, SERVING } from '../../http/grpc/health.ts';
import { Headers } from '../../http/headers.ts';
import type { ResponseHead } from '../../http/message.ts';
import type { ClientStream, ClientStreamEvents, UpstreamRequest } from '../../http/stream.ts';
import type { Tunnel } from '../../http/tunnel.ts';
import type { PlanHealthCheck } from '../../ir/plan.ts';
import type { Endpoint } from '../upstream/endpoint.ts';
import type { ConnWaiter } from '../upstream/pool.ts';

/** Bytes of an answer that are looked at: the answer of grpc.health.v1 has seven. */
const ANSWER_BYTES_MAX = 1_024;

/** Told once; `why` is undefined when the endpoint is well. */
export type ProbeDone = (why: string | undefined) => void;

export class HealthProbe implements ClientStreamEvents, ConnWaiter {
  readonly upgrade = undefined;
  readonly #check: PlanHealthCheck;
  readonly #endpoint: Endpoint;
  readonly #wheel: TimerWheel;
  readonly #timer: Timed;
  #done: ProbeDone | undefined;
  #conn: ClientStream | undefined;
  /** Gives up the connection that a check of TCP is making. */
  #cancel: (() => void) | undefined;
  #status = 0;
  #grpcStatus: string | undefined;
  #answer = Buffer.alloc(0);

  constructor(check: PlanHealthCheck, endpoint: Endpoint, wheel: TimerWheel) {
    this.#check = check;
    this.#endpoint = endpoint;
    this.#wheel = wheel;
    this.#timer = new Timed(() => this.#end(`no answer in ${check.timeoutMs} ms`));
  }

  start(done: ProbeDone): void {
    this.#done = done;
    this.#wheel.arm(this.#timer, this.#check.timeoutMs);
    if (this.#check.kind === 'tcp') return this.#connect();
    const got = this.#endpoint.acquire(this, 'any');
    if (got instanceof Fault) this.#end(got.detail);
    else if (got !== 'wait') this.onConnection(got);
  }

  /** What is asked of TCP is whether a connection can be made: one that is there already says nothing. */
  #connect(): void {
    const endpoint = this.#endpoint;
    const started = endpoint.openStream(undefined, {
      onOpen: (socket) => {
        this.#cancel = undefined;
        socket.on('error', ignore);
        socket.destroy();
        endpoint.streamClosed();
        this.#end(undefined);
      },
      onFailed: (fault) => {
        this.#cancel = undefined;
        this.#end(fault.detail);
      },
    });
    if (started instanceof Fault) this.#end(started.detail);
    else this.#cancel = started;
  }

  /** Gives up; nobody is told. */
  cancel(): void {
    this.#done = undefined;
    this.#end(undefined);
  }

  onConnection(conn: ClientStream): void {
    conn.begin(this);
    this.#conn = conn;
    conn.sendHead(requestOf(this.#check, this.#endpoint.name));
    if (this.#check.kind === 'grpc') conn.sendBody(healthRequest(this.#check.service));
    conn.sendEnd(undefined);
    conn.flush();
  }

  onNoConnection(fault: Fault): void {
    this.#end(fault.detail);
  }

  onAnswerHead({ status, headers }: ResponseHead): void {
    this.#status = status;
    this.#grpcStatus = headers.get('grpc-status');
  }

  onAnswerBody(bytes: Buffer): void {
    if (this.#check.kind === 'grpc' && this.#answer.length <= ANSWER_BYTES_MAX) {
      this.#answer = Buffer.concat([this.#answer, bytes]);
    }
  }

  onAnswerEnd(trailers: Headers | undefined): void {
    this.#conn = undefined;
    this.#grpcStatus ??= trailers?.get('grpc-status');
    this.#end(this.#verdict());
  }

  onAttemptFault(fault: Fault): void {
    this.#conn = undefined;
    this.#end(fault.detail);
  }

  onSwitched(_head: ResponseHead, tunnel: Tunnel): void {
    this.#conn = undefined;
    tunnel.reset();
    this.#end('it switched protocols');
  }

  onInformational(): void {}
  onUpstreamWritable(): void {}
  onAnswerIdle(): void {}

  #verdict(): string | undefined {
    const check = this.#check;
    if (check.kind === 'http') return check.statuses.includes(this.#status) ? undefined : `HTTP status ${this.#status}`;
    if (this.#status !== 200) return `HTTP status ${this.#status}`;
    if (this.#grpcStatus !== '0') return `gRPC status ${this.#grpcStatus ?? 'missing'}`;
    const serving = readHealthResponse(this.#answer);
    return serving === SERVING ? undefined : `serving status ${serving ?? 'not readable'}`;
  }

  #end(why: string | undefined): void {
    this.#wheel.disarm(this.#timer);
    const conn = this.#conn;
    this.#conn = undefined;
    if (conn !== undefined) conn.abort();
    else if (this.#check.kind !== 'tcp') this.#endpoint.forget(this);
    this.#cancel?.();
    this.#cancel = undefined;
    const done = this.#done;
    this.#done = undefined;
    done?.(why);
  }
}

function requestOf(check: PlanHealthCheck, authority: string): UpstreamRequest {
  const base = { authority, extraLines: '', upgrade: undefined, expectContinue: false };
  const agent = ['user-agent', 'fourways-health'] as const;
  if (check.kind === 'grpc') {
    const headers = Headers.of([['content-type', 'application/grpc'], agent]);
    return { ...base, method: 'POST', target: `/${HEALTH_SERVICE}/Check`, headers, bodyLength: -1, teTrailers: true };
  }
  const target = check.kind === 'http' ? check.path : '/';
  return { ...base, method: 'GET', target, headers: Headers.of([agent]), bodyLength: 0, teTrailers: false };
}

const ignore = (): void => undefined;
