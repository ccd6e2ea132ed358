/**
 * `grpc.health.v1`, answered here for a listener that asks for it: the empty
 * name stands for the listener, a name for the service of a GRPCRoute. A service
 * serves while some backend of some rule for it has a healthy endpoint.
 */
import { Fault } from '../base/fault.ts';
import { GRPC_CODES } from '../base/grpc-codes.ts';
import { Timed } from '../base/timers.ts';
import {
  HEALTH_SERVICE,
  healthResponse,
  NOT_SERVING,
  readHealthRequest,
  SERVICE_UNKNOWN,
  SERVING,
  type ServingStatus,
} from '../http/grpc/health.ts';
import { Headers } from '../http/headers.ts';
import type { ServerStream, ServerStreamEvents } from '../http/stream.ts';
import { type GrpcCall, grpcCallOf, statusOnly } from './grpc-call.ts';
import type { OwnAnswer } from './answer.ts';
import type { ListenerTable } from './route-table.ts';
import type { ListenerView, LivePort } from './runtime.ts';
import type { Rule } from './rule.ts';

const PATH = `/${HEALTH_SERVICE}/`;

/** Longest request: a name of 1,024 bytes, and room for fields to come. */
const REQUEST_BYTES_MAX = 4_096;

/** How often a watch looks whether something has changed. */
const WATCH_MS = 1_000;

/** Takes the request when it is one for the listener itself. */
export function healthCallOf(stream: ServerStream, port: LivePort): ServerStreamEvents | undefined {
  const { request } = stream;
  if (!request.path.startsWith(PATH)) return undefined;
  const listener = port.view.listeners.find(request.host);
  if (listener?.plan.settings.grpcHealth !== true) return undefined;
  const call = grpcCallOf(stream);
  return call === undefined ? undefined : new HealthCall(call, port);
}

class HealthCall implements ServerStreamEvents {
  readonly #call: GrpcCall;
  readonly #port: LivePort;
  readonly #startMs: number;
  readonly #method: string;
  readonly #host: string;
  readonly #timer: Timed;
  #received = Buffer.alloc(0);
  #service = '';
  #told: ServingStatus | undefined;
  #state: 'asked' | 'watched' | 'done' = 'asked';

  constructor(call: GrpcCall, port: LivePort) {
    this.#call = call;
    this.#port = port;
    this.#startMs = port.runtime.wheel.readMs();
    this.#method = call.request.path.slice(PATH.length);
    this.#host = call.request.host;
    this.#timer = new Timed(() => this.#tell());
    port.exchangeStarted();
    const services: readonly string[] = [];
    const fault = call.enter({
      grpc: { requestMessageBytesMax: REQUEST_BYTES_MAX, answerMessageBytesMax: 0, services },
    });
    if (fault !== undefined) this.#refuse(fault);
  }

  onRequestBody(bytes: Buffer): void {
    if (this.#state !== 'asked') return;
    const passed = this.#call.requestBody(bytes);
    if (passed instanceof Fault) return this.#refuse(passed);
    this.#received = Buffer.concat([this.#received, passed]);
    if (this.#received.length > REQUEST_BYTES_MAX) this.#refuse(new Fault('grpc.message-too-large', 'Health request'));
  }

  onRequestEnd(): void {
    if (this.#state !== 'asked') return;
    const service = readHealthRequest(this.#received);
    if (service === undefined) return this.#refuse(new Fault('grpc.malformed', 'Not a HealthCheckRequest'));
    this.#service = service;
    if (this.#method === 'Check') return this.#check();
    if (this.#method !== 'Watch') {
      return this.#answer(
        this.#call.ownAnswer(GRPC_CODES.UNIMPLEMENTED, `No method ${HEALTH_SERVICE}.${this.#method}`),
      );
    }
    this.#state = 'watched';
    this.#begin();
    this.#tell();
  }

  onRequestIdle(): void {
    this.#call.flush();
  }

  onRequestFault(fault: Fault): void {
    if (this.#state === 'asked') this.#refuse(fault);
  }

  onClientGone(): void {
    this.#finish();
  }

  onClientWritable(): void {}

  #check(): void {
    const status = this.#status();
    if (status === SERVICE_UNKNOWN) {
      return this.#answer(this.#call.ownAnswer(GRPC_CODES.NOT_FOUND, `No route names service "${this.#service}"`));
    }
    this.#begin();
    this.#call.sendBody(healthResponse(status));
    this.#end(GRPC_CODES.OK, '');
  }

  /** A watcher is told once, and then of each change. */
  #tell(): void {
    const status = this.#status();
    if (status !== this.#told) this.#call.sendBody(healthResponse(status));
    this.#told = status;
    if (this.#port.draining) this.#end(GRPC_CODES.UNAVAILABLE, 'The gateway is shutting down');
    else this.#port.runtime.wheel.arm(this.#timer, WATCH_MS);
    this.#call.flush();
  }

  #status(): ServingStatus {
    const listener = this.#port.view.listeners.find(this.#host);
    const rules = this.#service === '' ? undefined : rulesOf(listener, this.#service);
    if (this.#service !== '' && rules === undefined) return SERVICE_UNKNOWN;
    if (listener === undefined || this.#port.draining) return NOT_SERVING;
    const { nowMs } = this.#port.runtime.wheel;
    return rules === undefined || rules.some((rule) => serves(rule, nowMs)) ? SERVING : NOT_SERVING;
  }

  #begin(): void {
    const headers = Headers.of([
      ['content-type', 'application/grpc'],
      ['date', this.#port.runtime.dateValue()],
    ]);
    this.#call.sendHead({ status: 200, reason: 'OK', headers, bodyLength: -1 });
  }

  #end(status: number, message: string): void {
    this.#call.sendEnd(statusOnly(status, message));
    this.#call.flush();
    this.#finish();
  }

  #refuse(fault: Fault): void {
    this.#call.closeAfterAnswer();
    this.#answer(this.#call.faultAnswer(fault, this.#port.runtime.traceIds.traceId()));
    this.#port.runtime.metrics.fault(fault.kind);
  }

  #answer({ head }: OwnAnswer): void {
    this.#call.sendHead(head);
    this.#call.sendEnd(undefined);
    this.#call.flush();
    this.#finish();
  }

  /** Not in the access log: who asks every second would fill it. */
  #finish(): void {
    if (this.#state === 'done') return;
    this.#state = 'done';
    const { wheel, metrics } = this.#port.runtime;
    wheel.disarm(this.#timer);
    metrics.unrouted.end('POST', 200, wheel.readMs() - this.#startMs);
    this.#port.exchangeEnded();
  }
}

function serves({ backends }: Rule, nowMs: number): boolean {
  return backends.some(
    ({ cluster, weight }) => weight > 0 && cluster?.endpoints.some((endpoint) => endpoint.healthy(nowMs)) === true,
  );
}

/** Rules by the services that they name, made once for each table that somebody asks about. */
const serviceTables = new WeakMap<ListenerTable<Rule>, ReadonlyMap<string, readonly Rule[]>>();

function rulesOf(listener: ListenerView | undefined, service: string): readonly Rule[] | undefined {
  const routes = listener?.routes;
  if (routes === undefined) return undefined;
  let table = serviceTables.get(routes);
  if (table === undefined) serviceTables.set(routes, (table = tableOf(routes)));
  return table.get(service);
}

function tableOf(routes: ListenerTable<Rule>): ReadonlyMap<string, readonly Rule[]> {
  const table = new Map<string, Rule[]>();
  for (const [, tree] of routes.hosts.entries()) {
    for (const { rule } of tree.all()) {
      for (const service of rule.plan.grpc?.services ?? []) {
        const known = table.get(service);
        if (known === undefined) table.set(service, [rule]);
        else if (!known.includes(rule)) known.push(rule);
      }
    }
  }
  return table;
}
