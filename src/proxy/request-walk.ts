/** What becomes of what a filter says of a request: waiting for it, its verdict, its wish for the body. */
import { Fault } from '../base/fault.ts';
import {
  type BodyExtent,
  type BodyVerdict,
  type BodyWish,
  type Exchange,
  type Reply,
  type RequestBound,
  type Verdict,
  WHOLE_BODY,
} from '../filter/filter.ts';
import type { Headers } from '../http/headers.ts';
import type { Link } from './chain.ts';
import { filterFailed } from './filter-failed.ts';
import { type KeptBody, RequestPath } from './request-path.ts';

/** What an exchange does for it. */
export interface WalkOwner extends Exchange {
  /** Whether the chain of its request still runs: nobody has answered, and the client is there. */
  readonly isAsking: boolean;
  fail(fault: Fault): void;
  settle(verdict: Fault | Reply): void;
  /** Something was said outside of a turn of the client. */
  flush(): void;
  /** The body is wanted now, before there is an upstream. */
  askForBody(): void;
  onPathWritable(): void;
  takeKept(): KeptBody;
  passRequestBody(bytes: Buffer): boolean;
  endRequestBody(trailers: Headers | undefined): void;
  onRequestFault(fault: Fault): void;
}

/** A filter that says nothing of a bound may hold this much. */
const BOUND: RequestBound = { bytesMax: 1024 * 1024, beyond: 'refuse' };

type Said = Verdict | BodyWish | Buffer;

/** Whether the request has its answer. */
export function isVerdict(said: NonNullable<Said> | Promise<Said>): said is Fault | Reply {
  return typeof said === 'object' && (said instanceof Fault || 'kind' in said);
}

interface Held {
  readonly body: Buffer;
  readonly extent: BodyExtent;
}

export class RequestWalk {
  readonly #x: WalkOwner;
  #path: RequestPath | undefined;

  constructor(x: WalkOwner) {
    this.#x = x;
  }

  /** The way of the body, when it is open; until then the body is kept where it was kept before. */
  get openPath(): RequestPath | undefined {
    return this.#path?.isOpen === true ? this.#path : undefined;
  }

  /** @param goOn  to the next filter, when this one lets the request pass */
  take(said: Said | Promise<Said>, link: Link, goOn: (body?: Buffer) => void): void {
    if (!(said instanceof Promise)) return this.#heed(said, link, goOn);
    said.then(
      (late) => {
        if (!this.#x.isAsking) return;
        this.#heed(late, link, goOn);
        this.#x.flush();
      },
      (error: unknown) => this.#x.fail(filterFailed(link.name, error)),
    );
  }

  /** The chain is at its end. */
  open(): void {
    this.#path?.open();
  }

  abort(): void {
    this.#path?.abort();
  }

  #heed(said: Said, link: Link, goOn: (body?: Buffer) => void): void {
    if (said === undefined) return goOn();
    if (Buffer.isBuffer(said)) return goOn(said);
    if (said === WHOLE_BODY) return this.#hold(link, goOn);
    if (isVerdict(said)) return this.#x.settle(said);
    this.#pathOfBody().attach(said);
    goOn();
  }

  #hold(link: Link, goOn: () => void): void {
    const bound = link.filter.requestBound ?? BOUND;
    this.#pathOfBody().hold(bound, {
      onWhole: (body) => this.#decide(link, { body, extent: 'whole' }, goOn),
      onPart: (body) => this.#decide(link, { body, extent: 'part' }, goOn),
      onTooLong: (beyond) => {
        if (beyond === 'pass') return goOn();
        const detail = `The body is longer than the ${bound.bytesMax} bytes that filter "${link.name}" may hold`;
        this.#x.fail(new Fault('request.body-too-large', detail));
      },
    });
    this.#x.askForBody();
  }

  #decide(link: Link, { body, extent }: Held, goOn: () => void): void {
    let said: BodyVerdict | Promise<BodyVerdict>;
    try {
      said = link.filter.onRequestBody!(this.#x, body, extent);
    } catch (error) {
      return this.#x.fail(filterFailed(link.name, error));
    }
    this.take(said, link, (changed) => {
      if (extent === 'whole') {
        this.#x.request.bodyLength = (changed ?? body).length;
        this.#path!.decide(changed);
      }
      goOn();
    });
  }

  #pathOfBody(): RequestPath {
    const x = this.#x;
    return (this.#path ??= new RequestPath(
      {
        onPipeBytes: (bytes) => x.passRequestBody(bytes),
        onPipeEnd: (trailers) => x.endRequestBody(trailers),
        onPipeFault: (fault) => x.onRequestFault(fault),
        onPipeWritable: () => x.onPathWritable(),
      },
      () => x.takeKept(),
    ));
  }
}
