/** What a request and its answer are marked with on their way: ids, the client's address, the hop, times. */
import { type Exchange, NOTES_MAX } from '../filter/filter.ts';
import type { Headers } from '../http/headers.ts';
import type { ResponseHead } from '../http/message.ts';
import { SEEN_DATE, SEEN_REQUEST_ID, SEEN_SERVER, SEEN_TRACEPARENT } from '../http/seen.ts';
import type { ClientFacts, ServerStream } from '../http/stream.ts';
import type { AccessEntry } from '../observe/access-log.ts';
import type { Marks } from '../observe/latency.ts';
import type { ListenerView, Runtime } from './runtime.ts';
import { isRequestId, traceIdOf } from './trace-ids.ts';

/** Times of an exchange (see observe/latency.ts) and what it is known by. */
export class RequestMarks implements Marks {
  startMs = 0;
  headMs = -1;
  filteredMs = -1;
  attemptMs = -1;
  admittedMs = -1;
  connectedMs = -1;
  answeredMs = -1;
  endMs = -1;
  traceId = '';
  /** What the proxy adds to the request, where it does: complete lines, and values of its own making. */
  clientLines = '';
  /** What they say of scheme, host and port, where trusted hops said something else than is seen here. */
  clientTold = '';
  spanId = '';
  ownRequestId = '';
  via = '';
  #lines: string | undefined;

  /** Complete lines that are added to the request on its way upstream. Many requests never go there. */
  get requestLines(): string {
    return (this.#lines ??= this.#write());
  }

  #write(): string {
    let lines = this.clientLines;
    if (this.spanId !== '') lines += `traceparent: 00-${this.traceId}-${this.spanId}-01\r\n`;
    if (this.ownRequestId !== '') lines += `x-request-id: ${this.ownRequestId}\r\n`;
    if (this.via !== '') lines += `via: ${this.via} fourways\r\n`;
    return lines;
  }
}

interface Marked extends Omit<Exchange, 'rule'> {
  /** Undefined before one was found. */
  readonly rule: { readonly name: string } | undefined;
  clientIp: string;
  requestId: string;
  readonly times: RequestMarks;
}

/** Once per request, before anything else may want its id or client. */
export function markRequest(x: Marked, stream: ServerStream, listener: ListenerView, runtime: Runtime): void {
  const { headers } = x.request;
  const { seen } = stream;
  const { peerIp, scheme, clientCertificate: certificate } = stream.facts;
  const { times } = x;
  listener.use.times++;
  const client = listener.forwarding.read(x.request, { peerIp, scheme, seen, certificate });
  x.clientIp = client.ip;
  times.clientLines = client.lines;
  times.clientTold = client.told;

  if ((seen & SEEN_TRACEPARENT) !== 0) {
    const traceId = traceIdOf(headers.get('traceparent')!);
    if (traceId !== undefined) times.traceId = traceId;
    else {
      headers.delete('traceparent');
      headers.delete('tracestate');
    }
  }
  if (times.traceId === '') {
    times.traceId = runtime.traceIds.traceId();
    times.spanId = runtime.traceIds.spanId();
  }
  if ((seen & SEEN_REQUEST_ID) !== 0) {
    const requestId = headers.get('x-request-id')!;
    if (isRequestId(requestId)) x.requestId = requestId;
    else headers.delete('x-request-id');
  }
  if (x.requestId === '') {
    x.requestId = times.spanId === '' ? runtime.traceIds.traceId() : times.traceId;
    times.ownRequestId = x.requestId;
  }
  if (listener.plan.settings.via) times.via = stream.version;
}

/** What only the exchange itself knows of its line in the access log. */
type Told = Pick<
  AccessEntry,
  | 'path'
  | 'status'
  | 'grpcStatus'
  | 'fault'
  | 'cluster'
  | 'endpoint'
  | 'attempts'
  | 'identity'
  | 'notes'
  | 'listener'
  | 'bytesIn'
  | 'bytesOut'
  | 'planVersion'
>;

/** The whole line: what was told, and what the exchange was marked with. */
export function entryOf(x: Marked, facts: ClientFacts, told: Told): AccessEntry {
  const { request, times } = x;
  return {
    ...told,
    requestId: x.requestId,
    traceId: times.traceId,
    method: request.method,
    scheme: request.scheme,
    host: request.authority,
    query: request.query,
    rule: x.rule?.name ?? '',
    clientIp: x.clientIp,
    proxyIp: facts.proxyIp ?? '',
    tlsVersion: facts.tlsVersion,
    tlsCipher: facts.tlsCipher,
    clientCertificate: facts.clientCertificate,
    headers: request.headers,
    marks: times,
  };
}

/** RFC 9110 section 6.6.1: an answer without a date gets one. The server's name is the operator's choice. */
export function markAnswer(head: ResponseHead, seen: number, listener: ListenerView, runtime: Runtime): void {
  const { serverHeader } = listener.plan.settings;
  if (serverHeader !== 'keep' && (seen & SEEN_SERVER) !== 0) head.headers.delete('server');
  if (serverHeader === 'replace') head.headers.add('server', 'fourways');
  if ((seen & SEEN_DATE) === 0) head.headers.add('date', runtime.dateValue());
}

/** CGI-like servers read `x_y` like `x-y`, so such a name could pass for one that was checked. */
export function dropUnderscoreNames(headers: Headers): void {
  headers.deleteWhere((lowerName) => lowerName.includes('_'));
}

/** @param notes  name, value, name, value … */
export function putNote(notes: string[], name: string, value: string): void {
  let at = 0;
  while (at < notes.length && notes[at] !== name) at += 2;
  if (at >= NOTES_MAX * 2) return;
  notes[at] = name;
  notes[at + 1] = value;
}
