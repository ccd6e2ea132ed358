/**
 * The life of a request. Everything that decides is here, in the order in which
 * it happens; what does the work is in the files this one calls.
 *
 *     listener -> path -> client -> route -> filters -> backend -> attempt (again, if the fault allows)
 *              -> answer head -> filters -> body, under watermarks -> end: metrics, log line
 *
 * One object per request. It is told by both wires what happens (the `on…`
 * methods) and never waits: nothing on this path makes a promise, unless a
 * filter does. See docs/internals/life-of-a-request.md.
 */
import { Fault } from '../base/fault.ts';
import { Timed } from '../base/timers.ts';
import {
  type Asked,
  type BodyWish,
  type Exchange as FilterExchange,
  type Reply,
  type RouteMatch,
  type Verdict,
} from '../filter/filter.ts';
import type { Identity } from '../filter/identity.ts';
import type { Headers } from '../http/headers.ts';
import type { RequestHead, ResponseHead } from '../http/message.ts';
import { checkQuery, normalisePath } from '../http/path.ts';
import { SEEN_TE_TRAILERS, SEEN_UNDERSCORE } from '../http/seen.ts';
import type {
  ClientFacts,
  ClientStream,
  ClientStreamEvents,
  ServerStream,
  ServerStreamEvents,
  UpstreamRequest,
} from '../http/stream.ts';
import type { Tunnel } from '../http/tunnel.ts';
import type { AccessEntry } from '../observe/access-log.ts';
import { AnswerPath, type AnswerOwner } from './answer-path.ts';
import { type OwnAnswer, problemAnswer, replyAnswer, wholeAnswer } from './answer.ts';
import { type CallTree, overdue, treeOf } from './call-tree.ts';
import type { Link } from './chain.ts';
import { filterFailed } from './filter-failed.ts';
import type { Cluster } from './cluster/cluster.ts';
import { type GrpcCall, grpcCallOf, isRetried, refusalOf, wholeMsOf } from './grpc-call.ts';
import { listenerFor } from './listener-choice.ts';
import { dropUnderscoreNames, entryOf, markAnswer, markRequest, putNote, RequestMarks } from './marks.ts';
import { startMirrors, type Mirror } from './mirror.ts';
import { RequestBody } from './request-body.ts';
import type { ListenerView, LivePort } from './runtime.ts';
import type { KeptBody } from './request-path.ts';
import { isVerdict, RequestWalk, type WalkOwner } from './request-walk.ts';
import type { Rule, RuleBackend } from './rule.ts';
import { type Circumstances, SecondAttempts } from './second-attempts.ts';
import type { Endpoint } from './upstream/endpoint.ts';
import type { ConnWaiter } from './upstream/pool.ts';

type Stage = 'request' | 'waiting' | 'sent' | 'answering' | 'tunnel' | 'done';

const NO_LINKS: readonly Link[] = [];
const NOTHING_ASKED: Asked = { authority: '', path: '', query: '', told: '' };
const NO_MATCH: RouteMatch = { matchedPath: undefined };

export class Exchange
  implements FilterExchange, ServerStreamEvents, ClientStreamEvents, ConnWaiter, WalkOwner, AnswerOwner
{
  readonly request: RequestHead;
  asked: Asked = NOTHING_ASKED;
  clientIp: string;
  identity: Identity | undefined;
  kept: unknown[] | undefined;
  requestId = '';
  listenerPort = 0;
  readonly times = new RequestMarks();

  readonly #port: LivePort;
  /** The client; with the call between where the request is of gRPC. */
  #stream: ServerStream;
  #grpc: GrpcCall | undefined;
  #stage: Stage = 'request';
  #listener: ListenerView | undefined;
  #rule: Rule | undefined;
  #match: RouteMatch = NO_MATCH;
  #backend: RuleBackend | undefined;
  #pathAsked: string;
  #timer: Timed | undefined;
  /** Name, value, name, value … */
  #notes: string[] | undefined;

  readonly #body = new RequestBody();
  /** Filters that had more to say than nothing, and the ways of both bodies through those that want them. */
  #walk: RequestWalk | undefined;
  #answerPath: AnswerPath | undefined;
  #mirrors: readonly Mirror[] | undefined;

  // the attempt
  #conn: ClientStream | undefined;
  #endpoint: Endpoint | undefined;
  #attempts = 0;
  readonly #again = new SecondAttempts();
  /** Where calls have one deadline over all that they cause. */
  #tree: CallTree | undefined;
  #attemptTimer: Timed | undefined;
  #cancelBackoff: (() => void) | undefined;

  // the answer
  #status = 0;
  #fault: Fault | undefined;
  #answerPaused = false;
  /** Head and end came together: the clock need not be read twice. */
  #answerInOneTurn = true;
  #bytesIn = 0;
  #bytesOut = 0;

  constructor(port: LivePort, stream: ServerStream) {
    this.#port = port;
    this.#stream = stream;
    this.request = stream.request;
    this.clientIp = stream.facts.peerIp;
    this.#pathAsked = stream.request.path;
    port.exchangeStarted();
    const nowMs = port.runtime.wheel.readMs();
    this.times.startMs = stream.startedMs > 0 ? stream.startedMs : nowMs;
    this.times.headMs = nowMs;
  }

  get rule(): Rule {
    return this.#rule!;
  }

  get client(): ClientFacts {
    return this.#stream.facts;
  }

  get upgrade(): string | undefined {
    return this.request.upgrade;
  }

  note(name: string, value: string): void {
    putNote((this.#notes ??= []), name, value);
  }

  // --- from head to route ------------------------------------------------------------------------------------------

  begin(): void {
    this.#openGrpc();
    const fault = this.#chooseListener() ?? this.#readPath() ?? this.#chooseRule();
    if (fault !== undefined) return this.fail(fault);
    const rule = this.#rule!;
    if (rule.hasFilters) this.#rememberAsked();
    rule.begin();
    const refused = refusalOf(this.#grpc, rule.plan, this.request);
    if (refused !== undefined) return this.fail(refused);
    const ownMs = wholeMsOf(this.#grpc, rule.plan, this.#port.view.plan.timeouts.exchangeMs);
    const tree = (this.#tree = treeOf(this.#listener!.tree, this, this.#port.runtime));
    const wholeMs = tree === undefined ? ownMs : tree.boundBy(ownMs);
    if (tree?.isOver === true) return this.fail(overdue());
    if (wholeMs !== undefined) this.#armWhole(wholeMs);
    this.#runRequestFilters('rule', 0);
  }

  #rememberAsked(): void {
    const { authority, path, query } = this.request;
    this.asked = { authority, path, query, told: this.times.clientTold };
  }

  #openGrpc(): void {
    const call = grpcCallOf(this.#stream);
    if (call !== undefined) this.#stream = this.#grpc = call;
  }

  /** A head that could not be read gets an answer too, and the connection ends. */
  refuse(fault: Fault): void {
    this.#openGrpc();
    const listeners = this.#port.view.listeners;
    this.#listener = listeners.find(this.#stream.facts.serverName) ?? listeners.find('*');
    this.#body.ended = true;
    this.fail(fault);
  }

  #chooseListener(): Fault | undefined {
    const listener = listenerFor(this.#port.view, this.#stream);
    if (listener instanceof Fault) return listener;
    this.#listener = listener;
    this.listenerPort = listener.plan.publicPort;
    markRequest(this, this.#stream, listener, this.#port.runtime);
    return undefined;
  }

  /** What was routed is what is forwarded: the path is put in normal form first. */
  #readPath(): Fault | undefined {
    const { request } = this;
    const { settings } = this.#listener!.plan;
    if (request.path !== '*') {
      const path = normalisePath(request.path, settings.path);
      if (typeof path !== 'string') return new Fault('request.path-invalid', path.refused);
      request.path = path;
    }
    if (request.query !== '') {
      const refused = checkQuery(request.query);
      if (refused !== undefined) return new Fault('request.path-invalid', refused.refused);
    }
    if ((this.#stream.seen & SEEN_UNDERSCORE) !== 0 && settings.underscoreNames !== 'keep') {
      if (settings.underscoreNames === 'refuse') return new Fault('request.malformed', 'Header name has an underscore');
      dropUnderscoreNames(request.headers);
    }
    return undefined;
  }

  #chooseRule(): Fault | undefined {
    const found = this.#listener!.routes?.find(this.request);
    if (found === undefined) return new Fault('route.none', 'No rule of the listener matches');
    this.#rule = found.rule;
    this.#match = found;
    return undefined;
  }

  // --- filters on the way in ---------------------------------------------------------------------------------------

  /** First the filters of the rule, then those of the chosen backend. Leaves the turn only for a real promise. */
  #runRequestFilters(of: 'rule' | 'backend', from: number): void {
    const links = (of === 'rule' ? this.#rule! : this.#backend!).chain.onRequest;
    for (let i = from; i < links.length; i++) {
      const link = links[i]!;
      let said: Verdict | BodyWish | Promise<Verdict | BodyWish>;
      try {
        said = link.filter.onRequest!(this, this.#match);
      } catch (error) {
        return this.fail(filterFailed(link.name, error));
      }
      if (said === undefined) continue;
      if (isVerdict(said)) return this.settle(said);
      this.#walk ??= new RequestWalk(this);
      return this.#walk.take(said, link, () => this.#runRequestFilters(of, i + 1));
    }
    if (of === 'rule') return this.#chooseBackend();
    this.#walk?.open();
    // What was held may have been too much, or a stage may have failed on it.
    if (this.isAsking) this.#firstAttempt(this.#backend!.cluster!);
  }

  // --- what a filter of a request may cause (WalkOwner)

  get isAsking(): boolean {
    return this.#stage === 'request';
  }

  flush(): void {
    this.#stream.flush();
  }

  askForBody(): void {
    this.#stream.sendContinue();
    this.resumeBody();
  }

  takeKept(): KeptBody {
    return this.#body.takeBack();
  }

  settle(verdict: Fault | Reply): void {
    if (verdict instanceof Fault) this.fail(verdict);
    else this.#answerHere(this.#reply(verdict));
  }

  #chooseBackend(): void {
    const rule = this.#rule!;
    const backend = rule.pickBackend();
    if (backend === undefined) return this.fail(new Fault('route.backend-invalid', 'No backend has any weight'));
    this.#backend = backend;
    if (backend.cluster === undefined) return this.fail(new Fault(backend.fault, backend.why));
    this.#runRequestFilters('backend', 0);
  }

  // --- attempts ----------------------------------------------------------------------------------------------------

  #firstAttempt(cluster: Cluster): void {
    const { wheel } = this.#port.runtime;
    this.times.filteredMs = wheel.nowMs;
    cluster.budget.noteRequest(wheel.nowMs);
    const { mirrors } = this.#rule!;
    if (mirrors.length > 0) {
      const { pieces, ended, trailers } = this.#body;
      this.#mirrors = startMirrors(mirrors, this.#upstreamRequest(), { pieces, end: ended ? { trailers } : undefined });
    }
    this.#attempt('any');
  }

  #attempt(how: 'any' | 'fresh'): void {
    const cluster = this.#backend!.cluster!;
    const endpoint = cluster.pick(this.#endpoint);
    if (endpoint instanceof Fault) return this.fail(endpoint);
    this.#endpoint = endpoint;
    this.#attempts++;
    this.times.attemptMs = this.#attempts === 1 ? this.times.filteredMs : this.#port.runtime.wheel.readMs();
    this.times.admittedMs = this.times.attemptMs;
    this.#stage = 'waiting';
    const { backendRequestMs } = this.#rule!.plan.timeouts;
    if (backendRequestMs !== undefined) this.#armAttempt(backendRequestMs);
    const got = endpoint.acquire(this, how);
    if (got instanceof Fault) this.#onAttemptLost(got, 'fresh', 0);
    else if (got !== 'wait') this.#send(got, this.times.admittedMs);
  }

  onConnection(conn: ClientStream): void {
    this.#send(conn, this.#port.runtime.wheel.readMs());
  }

  #send(conn: ClientStream, connectedMs: number): void {
    this.times.connectedMs = connectedMs;
    this.#stage = 'sent';
    this.#conn = conn;
    conn.begin(this);
    this.#grpc?.beforeAttempt(connectedMs);
    conn.sendHead(this.#upstreamRequest());
    this.#body.sendTo(conn);
    this.resumeBody();
    conn.flush();
  }

  onNoConnection(fault: Fault): void {
    this.#onAttemptLost(fault, 'fresh', 0);
  }

  onAttemptFault(fault: Fault, bytesReceived: number): void {
    const conn = this.#conn;
    this.#conn = undefined;
    this.#backend?.cluster?.counters.attempt(0, this.#port.runtime.wheel.readMs() - this.times.attemptMs);
    if (this.#stage === 'answering') return this.#breakOff(fault);
    this.#onAttemptLost(fault, conn !== undefined && conn.uses > 0 ? 'reused' : 'fresh', bytesReceived);
  }

  /** Nothing of an answer was passed on yet: try again where that is safe and allowed, else say what happened. */
  #onAttemptLost(fault: Fault, connection: 'fresh' | 'reused', bytesReceived: number): void {
    this.#disarmAttempt();
    const again = this.#again.after({ fault, connection, bytesReceived }, this.#circumstances());
    if (again === 'later') return this.#retryLater();
    if (again !== 'no') return this.#attempt(again);
    const exhausted = fault.code === 'upstream.closed' && this.#again.retries > 0;
    this.fail(exhausted ? new Fault('upstream.retries-exhausted', fault.detail) : fault);
  }

  #circumstances(): Circumstances {
    const isSecond = this.#tree?.isSecond === true;
    const facts = { method: this.request.method, body: this.#body, cluster: this.#backend!.cluster! };
    return { ...facts, retry: this.#rule!.plan.retry, isSecond, nowMs: this.#port.runtime.wheel.nowMs };
  }

  #retryLater(): void {
    this.#stage = 'waiting';
    const { clock, random } = this.#port.runtime;
    this.#cancelBackoff = clock.after(this.#again.waitMs(this.#rule!.plan.retry!, random.unit()), () => {
      this.#cancelBackoff = undefined;
      this.#attempt('any');
    });
  }

  #upstreamRequest(): UpstreamRequest {
    const { request } = this;
    return {
      method: request.method,
      target: request.path + request.query,
      authority: request.authority,
      headers: request.headers,
      extraLines: this.times.requestLines + (this.#tree?.lines(this.#rule!.plan, this.#again.retries) ?? ''),
      bodyLength: request.bodyLength,
      upgrade: request.upgrade,
      expectContinue: request.expectContinue && !this.#body.ended && this.#body.keptBytes === 0,
      teTrailers: this.#grpc !== undefined || (this.#stream.seen & SEEN_TE_TRAILERS) !== 0,
    };
  }

  // --- the request body --------------------------------------------------------------------------------------------

  onRequestBody(received: Buffer): void {
    this.#bytesIn += received.length;
    const bytes = this.#grpc === undefined ? received : this.#grpc.requestBody(received);
    if (bytes instanceof Fault) return this.onRequestFault(bytes);
    const path = this.#walk?.openPath;
    if (path === undefined) this.passRequestBody(bytes);
    else if (!path.write(bytes)) {
      this.#body.pathFull = true;
      this.#pauseBody();
    }
  }

  /** @returns false when enough is waiting */
  passRequestBody(bytes: Buffer): boolean {
    if (this.#mirrors !== undefined) for (const mirror of this.#mirrors) mirror.body(bytes);
    const conn = this.#conn;
    const body = this.#body;
    if (body.replayable || conn === undefined) {
      body.keep(bytes);
      if (body.tooLarge) {
        if (conn !== undefined) body.forget();
        else body.full = true;
      }
    }
    if (conn !== undefined && !conn.sendBody(bytes)) body.full = true;
    if (this.#walk !== undefined) conn?.flush();
    if (body.full) this.#pauseBody();
    return !body.full;
  }

  onRequestEnd(trailers: Headers | undefined): void {
    const fault = this.#grpc?.requestEnd();
    if (fault !== undefined) return this.onRequestFault(fault);
    const path = this.#walk?.openPath;
    if (path === undefined) this.endRequestBody(trailers);
    else path.end(trailers);
  }

  endRequestBody(trailers: Headers | undefined): void {
    this.#body.end(trailers);
    this.#conn?.sendEnd(trailers);
    if (this.#walk !== undefined) this.#conn?.flush();
    if (this.#mirrors !== undefined) for (const mirror of this.#mirrors) mirror.end(trailers);
  }

  onRequestIdle(): void {
    this.#conn?.flush();
    this.#stream.flush();
  }

  onUpstreamWritable(): void {
    this.resumeBody();
  }

  onRequestFault(fault: Fault): void {
    this.#dropAttempt();
    if (this.#stage === 'answering') this.#breakOff(fault);
    else this.fail(fault);
  }

  onClientGone(): void {
    this.#dropAttempt();
    if (this.#mirrors !== undefined && !this.#body.ended) for (const mirror of this.#mirrors) mirror.drop();
    this.#fault ??= new Fault('request.aborted', 'Client closed the connection');
    this.#finish();
  }

  #pauseBody(): void {
    this.#body.paused = true;
    this.#stream.pauseBody();
  }

  /** The upstream takes more. */
  resumeBody(): void {
    const body = this.#body;
    if (!body.paused && !body.full) return;
    body.full = false;
    this.#walk?.openPath?.resume();
    this.#resumeClient();
  }

  /** The way through the filters takes more (WalkOwner). */
  onPathWritable(): void {
    this.#body.pathFull = false;
    this.#resumeClient();
  }

  #resumeClient(): void {
    const body = this.#body;
    if (!body.paused || body.full || body.pathFull) return;
    body.paused = false;
    this.#stream.resumeBody();
  }

  // --- the answer --------------------------------------------------------------------------------------------------

  onInformational(head: ResponseHead): void {
    this.#stream.sendInformational(head);
  }

  onAnswerHead(head: ResponseHead): void {
    if (isRetried(this.#rule!.plan.retry, head, this.#grpc) && this.#again.take(this.#circumstances())) {
      this.#endAttempt(head.status);
      this.#dropAttempt();
      return this.#retryLater();
    }
    this.times.answeredMs = this.#port.runtime.wheel.readMs();
    this.#stage = 'answering';
    this.#body.forget();
    markAnswer(head, this.#conn!.answerSeen, this.#listener!, this.#port.runtime);
    this.#grpc?.readAnswer(head);
    this.#filterAnswer(head);
  }

  onAnswerBody(bytes: Buffer): void {
    const flows = this.#answerPath === undefined ? this.onPipeBytes(bytes) : this.#answerPath.write(bytes);
    if (flows || this.#answerPaused || this.#conn === undefined) return;
    this.#answerPaused = true;
    this.#conn.pauseAnswer();
  }

  onClientWritable(): void {
    if (this.#answerPath === undefined) this.onPipeWritable();
    else this.#answerPath.resume();
  }

  onAnswerEnd(trailers: Headers | undefined): void {
    if (this.#stage !== 'answering') return;
    this.#conn = undefined;
    this.#endAttempt(this.#status);
    if (this.#answerPath === undefined) this.onPipeEnd(trailers);
    else this.#answerPath.end(trailers);
  }

  // --- the answer behind its filters, and behind the way of its body through them where there is one (AnswerOwner)

  onFilteredHead(head: ResponseHead): void {
    this.#status = head.status;
    this.#stream.sendHead(head);
  }

  onPipeBytes(bytes: Buffer): boolean {
    this.#bytesOut += bytes.length;
    const flows = this.#stream.sendBody(bytes);
    // A stage may speak outside of a turn of the upstream, whose end would flush.
    if (this.#answerPath !== undefined) this.#stream.flush();
    if (this.#grpc?.answerFault !== undefined) this.onRequestFault(this.#grpc.answerFault);
    return flows;
  }

  onPipeEnd(trailers: Headers | undefined): void {
    this.#stream.sendEnd(trailers);
    this.#finish();
    if (this.#answerPath !== undefined) this.#stream.flush();
  }

  onPipeFault(fault: Fault): void {
    this.onRequestFault(fault);
  }

  onPipeWritable(): void {
    if (!this.#answerPaused) return;
    this.#answerPaused = false;
    this.#conn?.resumeAnswer();
  }

  onReplaced(verdict: Fault | Reply): OwnAnswer {
    this.#dropAttempt();
    if (verdict instanceof Fault) this.#fault = verdict;
    return verdict instanceof Fault ? this.#problem(verdict) : this.#reply(verdict);
  }

  onFilterFailed(fault: Fault): void {
    this.#port.runtime.log.error('A filter failed on an answer', { rule: this.#rule?.name, error: fault.detail });
  }

  onAnswerIdle(): void {
    this.#answerInOneTurn = false;
    this.#stream.flush();
  }

  onSwitched(head: ResponseHead, upstream: Tunnel): void {
    this.#stage = 'tunnel';
    this.#conn = undefined;
    this.#disarmAttempt();
    if (this.#timer !== undefined) this.#port.runtime.wheel.disarm(this.#timer);
    this.times.answeredMs = this.#port.runtime.wheel.readMs();
    this.#status = head.status;
    this.#filterSwitch(head);
    const protocol = this.request.upgrade === 'websocket' ? 'websocket' : 'other';
    const limits = { ...this.#listener!.plan.settings.tunnel, ...this.#rule!.plan.tunnel };
    const sides = { client: this.#stream.switchProtocols(head), upstream, protocol } as const;
    this.#port.runTunnel(sides, limits, ({ bytesFromClient, bytesFromUpstream, fault }) => {
      this.#bytesIn += bytesFromClient;
      this.#bytesOut += bytesFromUpstream;
      this.#fault = fault;
      this.#finish();
    });
  }

  /** The first filter that has a wish for the body makes a way for it; all others are met here. */
  #filterAnswer(head: ResponseHead): void {
    const ofBackend = this.#backend?.chain.onResponse ?? NO_LINKS;
    const ofRule = this.#rule?.chain.onResponse ?? NO_LINKS;
    for (let i = 0; i < ofBackend.length + ofRule.length; i++) {
      const link = i < ofBackend.length ? ofBackend[i]! : ofRule[i - ofBackend.length]!;
      const said = this.#askAnswer(link, head);
      if (said === undefined) continue;
      this.#conn?.keepAnswerHead();
      this.#answerPath = new AnswerPath(this, this, { links: [...ofBackend, ...ofRule], head });
      return this.#answerPath.begin(said, i);
    }
    this.onFilteredHead(head);
  }

  #askAnswer({ name, filter }: Link, head: ResponseHead): Verdict | BodyWish | Promise<Verdict | BodyWish> {
    try {
      return filter.onResponse!(this, head) ?? undefined;
    } catch (error) {
      const fault = filterFailed(name, error);
      this.onFilterFailed(fault);
      // On the answer to a failure it is passed by: there must be an end.
      return this.#fault === undefined ? fault : undefined;
    }
  }

  /** Switched protocols have no body that could be wished for, and no other answer that could be given. */
  #filterSwitch(head: ResponseHead): void {
    const ofBackend = this.#backend?.chain.onResponse ?? NO_LINKS;
    for (const { name, filter } of [...ofBackend, ...this.#rule!.chain.onResponse]) {
      const failed = (error: unknown): void => this.onFilterFailed(filterFailed(name, error));
      try {
        const said = filter.onResponse!(this, head);
        if (said instanceof Promise) said.catch(failed);
      } catch (error) {
        failed(error);
      }
    }
  }

  #answerHere(answer: OwnAnswer): void {
    this.#dropAttempt();
    this.#stage = 'answering';
    this.times.answeredMs = this.#port.runtime.wheel.readMs();
    const { head, body } = answer;
    this.#filterAnswer(head);
    const path = this.#answerPath;
    if (path === undefined) {
      // A filter made the head longer or shorter, never the body.
      if (body.length > 0) this.onPipeBytes(body);
      // All in one turn: the clock need not be read twice.
      this.times.endMs = this.times.answeredMs;
      return this.onPipeEnd(undefined);
    }
    if (path.isReplaced) return;
    if (body.length > 0) path.write(body);
    path.end(undefined);
  }

  #own(answer: OwnAnswer): OwnAnswer {
    const { headers } = answer.head;
    headers.add('date', this.#port.runtime.dateValue());
    if (this.#listener?.plan.settings.serverHeader === 'remove') headers.delete('server');
    return answer;
  }

  #reply(reply: Reply): OwnAnswer {
    if (this.#grpc !== undefined) return this.#own(this.#grpc.replyAnswer(reply));
    return reply.head === undefined ? this.#own(replyAnswer(reply)) : wholeAnswer(reply, reply.head);
  }

  #problem(fault: Fault): OwnAnswer {
    this.requestId ||= this.#port.runtime.traceIds.traceId();
    const { requestId } = this;
    const { planVersion, view } = this.#port;
    const facts = { requestId, planVersion, hop: view.hop, accept: this.request.headers.get('accept') };
    return this.#own(this.#grpc?.faultAnswer(fault, requestId) ?? problemAnswer(fault, facts));
  }

  fail(fault: Fault): void {
    if (this.#stage === 'done') return;
    this.#fault = fault;
    this.#letPathsGo();
    this.#dropAttempt();
    // What is wrong with the message itself may go on being wrong; what a filter refuses is read to its end.
    if (fault.code.startsWith('request.') && !this.#body.ended) this.#stream.closeAfterAnswer();
    this.#answerHere(this.#problem(fault));
  }

  #letPathsGo(): void {
    this.#walk?.abort();
    this.#answerPath?.abort();
    this.#answerPath = undefined;
  }

  /** The answer has begun and cannot be completed: the client must be able to tell. */
  #breakOff(fault: Fault): void {
    if (this.#answerPath?.headSent === false) return this.fail(fault);
    this.#fault = fault;
    if (this.#grpc?.endBy(fault) !== true) this.#stream.cut();
    this.#finish();
  }

  // --- ends --------------------------------------------------------------------------------------------------------

  #armWhole(delayMs: number): void {
    this.#timer = new Timed(() =>
      this.onRequestFault(new Fault('exchange.timeout', `Request did not finish in ${delayMs} ms`)),
    );
    this.#port.runtime.wheel.arm(this.#timer, delayMs);
    this.#grpc?.armed(this.times.headMs + delayMs);
  }

  #armAttempt(delayMs: number): void {
    this.#attemptTimer ??= new Timed(() => {
      this.#abortConn();
      const fault = new Fault('upstream.timeout', `Attempt did not finish in ${delayMs} ms`);
      if (this.#stage === 'answering') this.#breakOff(fault);
      else this.#onAttemptLost(fault, 'fresh', 0);
    });
    this.#port.runtime.wheel.arm(this.#attemptTimer, delayMs);
  }

  #disarmAttempt(): void {
    if (this.#attemptTimer !== undefined) this.#port.runtime.wheel.disarm(this.#attemptTimer);
  }

  #endAttempt(status: number): void {
    this.#disarmAttempt();
    const { wheel } = this.#port.runtime;
    const nowMs = this.#answerInOneTurn && this.times.answeredMs >= 0 ? wheel.nowMs : wheel.readMs();
    this.times.endMs = nowMs;
    this.#backend!.cluster!.counters.attempt(status, nowMs - this.times.attemptMs);
  }

  #abortConn(): void {
    if (this.#stage === 'waiting') this.#endpoint?.forget(this);
    const conn = this.#conn;
    this.#conn = undefined;
    conn?.abort();
  }

  #dropAttempt(): void {
    this.#cancelBackoff?.();
    this.#cancelBackoff = undefined;
    this.#disarmAttempt();
    this.#abortConn();
  }

  /** Runs once, whatever happened. */
  #finish(): void {
    if (this.#stage === 'done') return;
    this.#stage = 'done';
    this.#letPathsGo();
    const { runtime } = this.#port;
    if (this.#timer !== undefined) runtime.wheel.disarm(this.#timer);
    this.#disarmAttempt();
    if (this.times.endMs < 0 || this.#fault !== undefined) this.times.endMs = runtime.wheel.readMs();
    this.#tree?.end();
    const rule = this.#rule;
    const metrics = rule?.metrics ?? runtime.metrics.unrouted;
    metrics.end(this.request.method, this.#status, this.times.endMs - this.times.startMs);
    if (rule !== undefined) {
      this.#tellEnd(rule);
      if (this.#grpc !== undefined) metrics.grpc(this.#grpc.endedWith(this.#fault), this.#match.matchedPath);
      if (this.#bytesIn > 0 || this.#bytesOut > 0) metrics.bodies(this.#bytesIn, this.#bytesOut);
      rule.end();
    }
    if (this.#fault !== undefined) runtime.metrics.fault(this.#fault.kind);
    const gate = this.#listener?.gate;
    if (gate !== undefined && gate.wants(this.#status, this.#fault)) runtime.accessLog.write(this.#entry(), gate);
    if (runtime.watch.on !== undefined) runtime.watch.on.onExchange(this, this.#entry());
    this.#mirrors = undefined;
    this.#port.exchangeEnded();
  }

  #tellEnd(rule: Rule): void {
    for (const filter of rule.chain.onEnd) filter.onEnd!(this);
    const ofBackend = this.#backend?.chain.onEnd;
    if (ofBackend !== undefined) for (const filter of ofBackend) filter.onEnd!(this);
  }

  #entry(): AccessEntry {
    return entryOf(this, this.#stream.facts, {
      path: this.#pathAsked,
      status: this.#status,
      grpcStatus: this.#grpc?.endedWith(this.#fault) ?? -1,
      fault: this.#fault,
      cluster: this.#backend?.cluster?.key ?? '',
      endpoint: this.#endpoint?.name ?? '',
      attempts: this.#attempts,
      identity: this.identity,
      notes: this.#notes,
      listener: this.#listener?.key ?? '',
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      planVersion: this.#port.planVersion,
    });
  }
}
