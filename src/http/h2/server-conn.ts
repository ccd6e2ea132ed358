/**
 * One HTTP/2 connection from a client. Offers each of its requests to the proxy as a {@link H2ServerStream}.
 *
 *     serving -> announced -> refusing -> ended
 *
 * Nothing is lost when it ends in good order (RFC 9113 section 6.8): first a GOAWAY says that there will be an end,
 * then, when the client must have heard it, another names the last request that is served, and when that is answered
 * the connection is closed.
 */
import { Timed } from '../../base/timers.ts';
import type { ServerConnOptions } from '../h1/server-conn.ts';
import type { ServerConn } from '../stream.ts';
import { TargetReader } from '../target-reader.ts';
import { H2Core, type H2Side } from './core.ts';
import {
  H2_ERROR,
  type H2ConnectionError,
  SETTING,
  STREAM_ID_MAX,
  WINDOW_BYTES_MAX,
  WINDOW_BYTES_START,
} from './frame.ts';
import { H2ServerStream, type ServerStreamHome } from './server-stream.ts';

export interface H2ServerConnOptions extends ServerConnOptions {
  /** The connection is ended because of this: for log and metrics. */
  onFailed(error: H2ConnectionError): void;
}

/** How long a client may take to hear of a GOAWAY, if it does not answer a PING before. */
const ANNOUNCE_MS = 1_000;

/** RFC 9113 section 6.9.2: a client may use what every window begins with before it knows ours. */
function clampWindow(bytes: number): number {
  return Math.min(WINDOW_BYTES_MAX, Math.max(WINDOW_BYTES_START, bytes));
}

type State = 'serving' | 'announced' | 'refusing' | 'ended';

export class H2ServerConn implements ServerConn, H2Side<H2ServerStream> {
  readonly #options: H2ServerConnOptions;
  readonly #core: H2Core<H2ServerStream>;
  readonly #home: ServerStreamHome;
  readonly #timer: Timed;
  /** Stream objects for later streams; at most as many as were open at one time. */
  readonly #spare: H2ServerStream[] = [];
  #state: State = 'serving';
  #requests = 0;

  constructor(options: H2ServerConnOptions) {
    const { socket, intake, wheel, limits, timeouts } = options;
    this.#options = options;
    this.#timer = new Timed(() => this.#onTimeout());
    this.#core = new H2Core<H2ServerStream>({
      socket,
      intake,
      role: 'server',
      side: this,
      wheel,
      timeouts,
      limits: {
        headerBytesMax: limits.headerBytesMax,
        headersMax: limits.headersMax,
        trailerBytesMax: limits.trailerBytesMax,
        streamsMax: limits.streamsMax,
        windowBytes: clampWindow(limits.windowBytes),
        connectionWindowBytes: clampWindow(limits.connectionWindowBytes),
      },
      settings: [SETTING.ENABLE_CONNECT_PROTOCOL, 1, SETTING.NO_RFC7540_PRIORITIES, 1],
    });
    this.#home = {
      core: this.#core,
      facts: options.facts,
      sink: options.sink,
      wheel,
      limits,
      bodyIdleMs: timeouts.bodyIdleMs,
      target: new TargetReader(),
    };
    this.#armIdle();
    if (options.draining === true) this.drain();
    if (options.early !== undefined) this.#core.read(options.early);
  }

  get requests(): number {
    return this.#requests;
  }

  // --- told by the core --------------------------------------------------------------------------------------------

  onOpen(): H2ServerStream {
    if (++this.#requests >= this.#options.limits.requestsPerConnectionMax) this.drain();
    const stream = this.#spare.pop() ?? new H2ServerStream(this.#home);
    stream.renew();
    return stream;
  }

  onBusy(): void {
    if (this.#state === 'serving') this.#options.wheel.disarm(this.#timer);
  }

  onClosed(stream: H2ServerStream): void {
    stream.onClosed();
    if (this.#spare.length < this.#options.limits.streamsMax) this.#spare.push(stream);
  }

  onQuiet(): void {
    if (this.#state === 'serving') this.#armIdle();
    else if (this.#state === 'refusing') this.#end();
  }

  onSettings(): void {}

  /** The client will take no streams of ours, of which there are none. It closes when it has its answers. */
  onGoAway(): void {}

  onPong(): void {
    if (this.#state === 'announced') this.#refuseMore();
  }

  onFailed(error: H2ConnectionError): void {
    this.#options.onFailed(error);
  }

  onGone(): void {
    this.#state = 'ended';
    this.#options.wheel.disarm(this.#timer);
    this.#options.onClosed(this);
  }

  // --- the end in good order ---------------------------------------------------------------------------------------

  drain(): void {
    if (this.#state !== 'serving') return;
    this.#state = 'announced';
    this.#core.goAway(STREAM_ID_MAX);
    this.#core.ping();
    this.#options.wheel.arm(this.#timer, ANNOUNCE_MS);
  }

  #refuseMore(): void {
    this.#state = 'refusing';
    this.#options.wheel.disarm(this.#timer);
    this.#core.goAway(this.#core.streams.lastPeerId);
    if (this.#core.streams.size === 0) this.#end();
  }

  #end(): void {
    this.#state = 'ended';
    this.#core.end(H2_ERROR.NO_ERROR, '');
  }

  destroy(): void {
    this.#core.destroy();
  }

  #armIdle(): void {
    const { keepAliveMs } = this.#options.timeouts;
    if (keepAliveMs > 0) this.#options.wheel.arm(this.#timer, keepAliveMs);
  }

  #onTimeout(): void {
    if (this.#state === 'serving') this.drain();
    else if (this.#state === 'announced') this.#refuseMore();
  }
}
