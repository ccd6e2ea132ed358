/**
 * A copy of a request that goes to another cluster. Its answer is read and
 * forgotten. A mirror never slows the request it copies: when it cannot keep up,
 * it is dropped.
 */
import { Fault } from '../base/fault.ts';
import type { Headers } from '../http/headers.ts';
import type { ResponseHead } from '../http/message.ts';
import type { ClientStream, ClientStreamEvents, UpstreamRequest } from '../http/stream.ts';
import type { Tunnel } from '../http/tunnel.ts';
import { owned } from '../net/read-buffer.ts';
import type { RuleMirror } from './rule.ts';
import type { Endpoint } from './upstream/endpoint.ts';
import type { ConnWaiter } from './upstream/pool.ts';

/** Body bytes that a mirror may hold while its endpoint is not ready. Beyond, the copy is dropped. */
const HELD_BYTES_MAX = 256 * 1024;

/** What of a request had come when its copies were started: a filter may have taken its time. */
export interface SoFar {
  readonly pieces: readonly Buffer[];
  /** Set when the request is complete. */
  readonly end: { readonly trailers: Headers | undefined } | undefined;
}

/** Starts the copies whose turn it is. Undefined when there are none. */
export function startMirrors(
  mirrors: readonly RuleMirror[],
  request: UpstreamRequest,
  { pieces, end }: SoFar,
): readonly Mirror[] | undefined {
  let started: Mirror[] | undefined;
  for (const mirror of mirrors) {
    mirror.owed += mirror.share;
    if (mirror.owed < 1 - 1e-9) continue;
    mirror.owed -= 1;
    mirror.cluster.counters.mirrored();
    const copy = new Mirror(mirror, {
      ...request,
      headers: request.headers.copy(),
      upgrade: undefined,
      expectContinue: false,
    });
    for (const bytes of pieces) copy.body(bytes);
    if (end !== undefined) copy.end(end.trailers);
    (started ??= []).push(copy);
  }
  return started;
}

export class Mirror implements ClientStreamEvents, ConnWaiter {
  /** A copy changes nothing. */
  readonly upgrade = undefined;
  readonly #request: UpstreamRequest;
  #endpoint: Endpoint | undefined;
  #conn: ClientStream | undefined;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #full = false;
  #ended = false;
  #trailers: Headers | undefined;
  #dropped = false;

  constructor({ cluster }: RuleMirror, request: UpstreamRequest) {
    this.#request = request;
    const endpoint = cluster.pick(undefined);
    if (endpoint instanceof Fault) {
      this.#dropped = true;
      return;
    }
    this.#endpoint = endpoint;
    const got = endpoint.acquire(this, 'any');
    if (got instanceof Fault) this.#dropped = true;
    else if (got !== 'wait') this.onConnection(got);
  }

  body(bytes: Buffer): void {
    if (this.#dropped) return;
    if (this.#conn !== undefined && !this.#full) {
      this.#full = !this.#conn.sendBody(bytes);
      return;
    }
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > HELD_BYTES_MAX) this.drop();
    else this.#held.push(owned(bytes));
  }

  end(trailers: Headers | undefined): void {
    this.#ended = true;
    this.#trailers = trailers;
    if (this.#conn !== undefined && this.#held.length === 0) this.#conn.sendEnd(trailers);
  }

  drop(): void {
    if (this.#dropped) return;
    this.#dropped = true;
    this.#held = [];
    this.#endpoint?.forget(this);
    this.#conn?.abort();
    this.#conn = undefined;
  }

  onConnection(conn: ClientStream): void {
    this.#conn = conn;
    conn.begin(this);
    conn.sendHead(this.#request);
    this.#sendHeld();
    conn.flush();
  }

  onNoConnection(): void {
    this.#dropped = true;
    this.#held = [];
  }

  onUpstreamWritable(): void {
    this.#full = false;
    this.#sendHeld();
  }

  #sendHeld(): void {
    const conn = this.#conn;
    if (conn === undefined) return;
    while (this.#held.length > 0 && !this.#full) {
      const bytes = this.#held.shift()!;
      this.#heldBytes -= bytes.length;
      this.#full = !conn.sendBody(bytes);
    }
    if (this.#ended && this.#held.length === 0) conn.sendEnd(this.#trailers);
  }

  onAnswerEnd(): void {
    this.#conn = undefined;
    this.#dropped = true;
    this.#held = [];
  }

  onAttemptFault(): void {
    this.onAnswerEnd();
  }

  onSwitched(_head: ResponseHead, tunnel: Tunnel): void {
    tunnel.reset();
    this.onAnswerEnd();
  }

  onInformational(): void {}
  onAnswerHead(): void {}
  onAnswerBody(): void {}
  onAnswerIdle(): void {}
}
