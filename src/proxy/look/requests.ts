/**
 * The topic `requests`: live requests, each at its end. A filter chooses, a bound on each second keeps the cost, and what
 * is beyond is counted. Bodies and queries are never shown.
 */
import type { Asker } from '../../base/asking.ts';
import type { Clock } from '../../base/clock.ts';
import type { EndedExchange, EndedFacts } from '../../filter/ended.ts';
import type { Exchange } from '../../filter/filter.ts';
import { workloadOf } from '../../http/client-identity.ts';
import { TAPPED_SECOND_MAX, type TappedRequest } from '../../ir/observed.ts';
import type { AccessEntry } from '../../observe/access-log.ts';
import type { StreamEntry } from '../../observe/stream-log.ts';
import type { ExchangeWatch, Watcher } from './exchange-watch.ts';
import { directionOf, placeText, serviceOf, type ServicePlace } from './places.ts';
import { shownHeaders } from './shown-headers.ts';

/** How long a request may wait for company, and how many are one answer. */
const GATHER_MS = 150;
const ANSWER_REQUESTS_MAX = 50;

/** Characters of a host and a path that are shown. */
const HOST_CHARS_MAX = 255;
const PATH_CHARS_MAX = 1_024;

/** Whether an exchange is wanted; undefined when the expression has no value for it. */
export type RequestFilter = (x: EndedExchange) => boolean | undefined;

export interface RequestsQuestion {
  readonly filter: RequestFilter | undefined;
  readonly headers: 'show' | 'omit';
}

export interface RequestsWork {
  readonly watch: ExchangeWatch;
  readonly clock: Clock;
  /** All workers of the proxy share its bound. */
  readonly workers: number;
}

/** @returns takes it back */
export function answerRequests(question: RequestsQuestion, asker: Asker, work: RequestsWork): () => void {
  const tap = new Tap(question, asker, work);
  const unwatch = work.watch.add(tap);
  // That it hears: nothing may happen for long.
  asker.answer({ requests: [], left: 0 }, 0);
  return () => {
    unwatch();
    tap.close();
  };
}

class Tap implements Watcher {
  readonly #question: RequestsQuestion;
  readonly #asker: Asker;
  readonly #work: RequestsWork;
  readonly #secondMax: number;
  #requests: TappedRequest[] = [];
  #left = 0;
  #second = 0;
  #shown = 0;
  #cancel: (() => void) | undefined;

  constructor(question: RequestsQuestion, asker: Asker, work: RequestsWork) {
    this.#question = question;
    this.#asker = asker;
    this.#work = work;
    this.#secondMax = Math.ceil(TAPPED_SECOND_MAX / work.workers);
  }

  close(): void {
    this.#cancel?.();
  }

  onExchange(x: Exchange, entry: AccessEntry): void {
    const { filter, headers } = this.#question;
    const place = serviceOf(entry.listener) ?? serviceOf(entry.cluster);
    if (filter !== undefined && filter(endedOf(x, entry, place)) !== true) return;
    if (!this.#mayShow()) return;
    const request = ofExchange(x, entry, { place, wallMs: this.#work.clock.wallMs() });
    this.#show(headers === 'show' ? { ...request, headers: shownHeaders(x.request.headers) } : request);
  }

  /** A filter is about requests, and there is none here. */
  onStream(entry: StreamEntry): void {
    if (this.#question.filter !== undefined || !this.#mayShow()) return;
    this.#show(ofStream(entry, this.#work.clock.wallMs()));
  }

  #mayShow(): boolean {
    const second = Math.floor(this.#work.clock.nowMs() / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#shown = 0;
    }
    if (++this.#shown <= this.#secondMax) return true;
    this.#left++;
    this.#soon();
    return false;
  }

  #show(request: TappedRequest): void {
    this.#requests.push(request);
    if (this.#requests.length >= ANSWER_REQUESTS_MAX) this.#tell();
    else this.#soon();
  }

  #soon(): void {
    this.#cancel ??= this.#work.clock.after(GATHER_MS, () => this.#tell());
  }

  #tell(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    const answer = { requests: this.#requests, left: this.#left };
    this.#requests = [];
    this.#left = 0;
    this.#asker.answer(answer, 0);
  }
}

/** The exchange as its client meant it: filters may have changed the request. */
function endedOf(x: Exchange, entry: AccessEntry, place: ServicePlace | undefined): EndedExchange {
  const { marks } = entry;
  const ended: EndedFacts = {
    status: entry.status,
    fault: entry.fault?.code ?? '',
    durationMs: marks.endMs - marks.startMs,
    namespace: place?.namespace ?? '',
    service: place?.service ?? '',
  };
  return {
    request: { ...x.request, path: pathOf(x, entry) },
    asked: x.asked,
    rule: { name: entry.rule },
    clientIp: x.clientIp,
    client: x.client,
    requestId: x.requestId,
    listenerPort: x.listenerPort,
    identity: x.identity,
    kept: undefined,
    note: () => undefined,
    ended,
  };
}

/** In normal form, before any filter; as it came where it could not be read. */
export function pathOf({ asked, request }: Exchange, { path, rule }: AccessEntry): string {
  if (asked.path !== '') return asked.path;
  return rule === '' ? path : request.path;
}

interface Around {
  readonly place: ServicePlace | undefined;
  readonly wallMs: number;
}

function ofExchange(x: Exchange, entry: AccessEntry, { place, wallMs }: Around): TappedRequest {
  const { marks, identity } = entry;
  const durationMs = marks.endMs - marks.startMs;
  const isAnswered = marks.connectedMs >= 0 && marks.answeredMs >= 0;
  return {
    timeMs: Math.round(wallMs - durationMs),
    direction: directionOf(entry.listener),
    protocol: entry.grpcStatus >= 0 ? 'grpc' : 'http',
    source: workloadOf(entry.clientCertificate)?.id ?? entry.clientIp,
    service: place === undefined ? '' : placeText(place),
    endpoint: entry.endpoint,
    method: entry.method,
    host: entry.host.slice(0, HOST_CHARS_MAX),
    path: pathOf(x, entry).slice(0, PATH_CHARS_MAX),
    status: entry.status,
    grpcStatus: entry.grpcStatus,
    fault: entry.fault?.code ?? '',
    durationMs: thousandths(durationMs),
    upstreamMs: isAnswered ? thousandths(marks.answeredMs - marks.connectedMs) : -1,
    attempts: entry.attempts,
    bytesIn: entry.bytesIn,
    bytesOut: entry.bytesOut,
    route: entry.rule,
    user: identity?.consumer?.name ?? identity?.subject ?? '',
    requestId: entry.requestId,
    traceId: entry.traceId,
  };
}

function ofStream(entry: StreamEntry, wallMs: number): TappedRequest {
  const place = serviceOf(entry.listener) ?? serviceOf(entry.cluster);
  return {
    timeMs: Math.round(wallMs - entry.durationMs),
    direction: directionOf(entry.listener),
    protocol: 'tcp',
    source: workloadOf(entry.clientCertificate)?.id ?? entry.clientIp,
    service: place === undefined ? '' : placeText(place),
    endpoint: entry.endpoint,
    method: '',
    host: entry.serverName,
    path: '',
    status: 0,
    grpcStatus: -1,
    fault: entry.fault?.code ?? '',
    durationMs: thousandths(entry.durationMs),
    upstreamMs: -1,
    attempts: entry.attempts,
    bytesIn: entry.bytesIn,
    bytesOut: entry.bytesOut,
    route: entry.route,
    user: '',
    requestId: '',
    traceId: '',
  };
}

function thousandths(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
