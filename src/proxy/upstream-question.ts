/** One request of our own to a cluster: for filters that ask a service. Small: the answer is read whole. */
import type { Clock } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';
import type { UpstreamAnswer, UpstreamQuestion } from '../filter/env.ts';
import type { Headers } from '../http/headers.ts';
import type { ResponseHead } from '../http/message.ts';
import type { ClientStream, ClientStreamEvents } from '../http/stream.ts';
import type { Tunnel } from '../http/tunnel.ts';
import { owned } from '../net/read-buffer.ts';
import type { Cluster } from './cluster/cluster.ts';
import type { Endpoint } from './upstream/endpoint.ts';
import type { ConnWaiter } from './upstream/pool.ts';

/** A connection that was lost before a byte of an answer is not the service's last word: once more, on a fresh one. */
const ATTEMPTS_MAX = 2;

/** Never rejects. The question is sent again where its connection was lost before an answer began. */
export function askUpstream(
  cluster: Cluster,
  question: UpstreamQuestion,
  clock: Clock,
): Promise<UpstreamAnswer | Fault> {
  return new Promise((resolve) => {
    const asked = new Asked(cluster, question, (result) => {
      stop();
      resolve(result);
    });
    const stop = clock.after(question.timeoutMs, () =>
      asked.give(new Fault('upstream.timeout', `No answer in ${question.timeoutMs} ms`)),
    );
    asked.attempt('any');
  });
}

class Asked implements ClientStreamEvents, ConnWaiter {
  readonly upgrade = undefined;
  readonly #cluster: Cluster;
  readonly #question: UpstreamQuestion;
  readonly #done: (result: UpstreamAnswer | Fault) => void;
  #endpoint: Endpoint | undefined;
  #conn: ClientStream | undefined;
  #attempts = 0;
  #head: ResponseHead | undefined;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #over = false;

  constructor(cluster: Cluster, question: UpstreamQuestion, done: (result: UpstreamAnswer | Fault) => void) {
    this.#cluster = cluster;
    this.#question = question;
    this.#done = done;
  }

  attempt(how: 'any' | 'fresh'): void {
    this.#attempts++;
    const endpoint = this.#cluster.pick(this.#endpoint);
    if (endpoint instanceof Fault) return this.give(endpoint);
    this.#endpoint = endpoint;
    const got = endpoint.acquire(this, how);
    if (got instanceof Fault) this.give(got);
    else if (got !== 'wait') this.onConnection(got);
  }

  /** The first result counts; what still runs is given up. */
  give(result: UpstreamAnswer | Fault): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#conn === undefined) this.#endpoint?.forget(this);
    else this.#conn.abort();
    this.#conn = undefined;
    this.#done(result);
  }

  onConnection(conn: ClientStream): void {
    const { method, target, authority, headers, body } = this.#question;
    this.#conn = conn;
    conn.begin(this);
    conn.sendHead({
      method,
      target,
      authority: authority ?? this.#endpoint!.name,
      headers: headers.copy(),
      extraLines: '',
      bodyLength: body?.length ?? 0,
      upgrade: undefined,
      expectContinue: false,
      teTrailers: headers.get('content-type')?.startsWith('application/grpc') === true,
    });
    if (body !== undefined && body.length > 0) conn.sendBody(body);
    conn.sendEnd(undefined);
    conn.flush();
  }

  onNoConnection(fault: Fault): void {
    this.give(fault);
  }

  onAttemptFault(fault: Fault, bytesReceived: number): void {
    const reused = this.#conn !== undefined && this.#conn.uses > 0;
    this.#conn = undefined;
    if (bytesReceived === 0 && reused && this.#attempts < ATTEMPTS_MAX) this.attempt('fresh');
    else this.give(fault);
  }

  onAnswerHead(head: ResponseHead): void {
    // The codec's own object, which the next answer overwrites.
    this.#head = { ...head, headers: head.headers.copy() };
  }

  onAnswerBody(bytes: Buffer): void {
    this.#bytes += bytes.length;
    const { answerBytesMax } = this.#question;
    if (this.#bytes > answerBytesMax) {
      return this.give(new Fault('upstream.answer-too-large', `The answer is longer than ${answerBytesMax} bytes`));
    }
    this.#pieces.push(owned(bytes));
  }

  onAnswerEnd(trailers: Headers | undefined): void {
    const { status, headers } = this.#head!;
    this.#conn = undefined;
    if (this.#over) return;
    this.#over = true;
    this.#done({ status, headers, body: Buffer.concat(this.#pieces), trailers });
  }

  onSwitched(_head: ResponseHead, tunnel: Tunnel): void {
    tunnel.reset();
    this.#conn = undefined;
    this.give(new Fault('upstream.malformed', 'It switched protocols without being asked'));
  }

  onUpstreamWritable(): void {}
  onInformational(): void {}
  onAnswerIdle(): void {}
}
