/** All streams of one control plane: lets them in, counts them, ends them. Knows no socket; server.ts brings them. */
import type { Clock } from '../base/clock.ts';
import type { Fault } from '../base/fault.ts';
import type { Log } from '../base/log.ts';
import { pushFault } from './faults.ts';
import type { Feeds } from './feeds.ts';
import { type ServerPipe, ServerSession } from './server-session.ts';

/** Proxies on one control plane, each with a socket. Beyond: refused, to try another. */
const STREAMS_MAX = 20_000;

/**
 * Streams that have begun and are not settled: their plans are compared or
 * being written. Beyond: refused, to come back spread out. It bounds the memory
 * and the time of a start at which all proxies come at once.
 */
const STARTING_MAX = 512;

/**
 * Handshakes that are begun: each is some milliseconds of a core, and a fleet that was cut comes back within seconds.
 * Beyond: turned away before TLS, which costs next to nothing, to come back spread out.
 */
const HANDSHAKES_PER_S = 250;
/** As many at once, after a quiet time. */
const HANDSHAKES_MAX = 500;

/** Lines of one code in such a time: whoever knocks at the port must not fill the disk. The rest is counted. */
const LINES_MAX = 20;
const LINES_MS = 60_000;

interface Said {
  readonly sinceMs: number;
  lines: number;
  /** Lines that were not written. */
  left: number;
}

export interface HubOptions {
  readonly feeds: Feeds;
  readonly clock: Clock;
  readonly log: Log;
  /** Version of this software, and which control plane this is. */
  readonly software: string;
  readonly control: string;
  readonly streamsMax?: number;
  readonly startingMax?: number;
}

export class Hub {
  readonly #options: HubOptions;
  readonly #sessions = new Set<ServerSession>();
  readonly #ended = new Map<string, number>();
  /** By code. */
  readonly #said = new Map<string, Said>();
  #starting = 0;
  #opened = 0;
  #handshakesLeft = HANDSHAKES_MAX;
  #handshakesAtMs: number;

  constructor(options: HubOptions) {
    this.#options = options;
    this.#handshakesAtMs = options.clock.nowMs();
  }

  /** Streams that have begun and are not settled. */
  get starting(): number {
    return this.#starting;
  }

  /** Whether a connection that has come may begin its handshake now; one that may not is to be closed at once. */
  admit(): 'admitted' | 'busy' {
    const nowMs = this.#options.clock.nowMs();
    const gained = ((nowMs - this.#handshakesAtMs) * HANDSHAKES_PER_S) / 1_000;
    this.#handshakesLeft = Math.min(HANDSHAKES_MAX, this.#handshakesLeft + gained);
    this.#handshakesAtMs = nowMs;
    if (this.#handshakesLeft < 1) return 'busy';
    this.#handshakesLeft--;
    return 'admitted';
  }

  /** Streams that are open. */
  get size(): number {
    return this.#sessions.size;
  }

  get opened(): number {
    return this.#opened;
  }

  /** Streams and connections that were ended or refused, by the code of the fault: at most as many as there are codes. */
  get ended(): ReadonlyMap<string, number> {
    return this.#ended;
  }

  /** A stream of a proxy whose certificate was verified. A refusal has ended the pipe already. */
  accept(identity: string, pipe: ServerPipe): ServerSession | undefined {
    const { streamsMax = STREAMS_MAX, startingMax = STARTING_MAX, ...options } = this.#options;
    if (this.#sessions.size >= streamsMax || this.#starting >= startingMax) {
      const what =
        this.#sessions.size >= streamsMax ? `${streamsMax} proxies are here` : `${startingMax} proxies begin`;
      const fault = pushFault('push.busy', what);
      pipe.end(fault);
      this.refuse(fault, { identity });
      return undefined;
    }
    this.#opened++;
    this.#starting++;
    let isStarting = true;
    const settle = (): void => {
      if (isStarting) this.#starting--;
      isStarting = false;
    };
    const session: ServerSession = new ServerSession({
      ...options,
      identity,
      pipe,
      onSettled: settle,
      onEnd: (fault) => {
        settle();
        this.#sessions.delete(session);
        this.refuse(fault, { identity });
      },
    });
    this.#sessions.add(session);
    return session;
  }

  /** Counts and says that somebody was refused or cut. */
  refuse(fault: Fault, fields: Readonly<Record<string, unknown>>): void {
    const { code, detail } = fault;
    this.#ended.set(code, (this.#ended.get(code) ?? 0) + 1);
    if (!LOUD.has(code)) return this.#options.log.debug(`Stream of a proxy ended: ${detail}`, { code, ...fields });
    const nowMs = this.#options.clock.nowMs();
    const said = this.#said.get(code);
    const line = said === undefined || nowMs - said.sinceMs >= LINES_MS ? { sinceMs: nowMs, lines: 0, left: 0 } : said;
    this.#said.set(code, line);
    if (++line.lines > LINES_MAX) {
      line.left++;
      return;
    }
    const unsaid = said !== line && said !== undefined && said.left > 0 ? { unsaid: said.left } : {};
    this.#options.log.warn(`Refused a proxy: ${detail}`, { code, ...fields, ...unsaid });
  }

  /** Ends every stream: the proxies go to another control plane. */
  close(): void {
    for (const session of this.#sessions) {
      session.end(pushFault('push.closed', 'The control plane is shutting down'));
    }
  }
}

/** What somebody has to look at. */
const LOUD: ReadonlySet<string> = new Set([
  'push.unauthenticated',
  'push.identity-refused',
  'push.join-refused',
  'push.join-failed',
  'push.protocol',
  'push.too-large',
  'push.silent',
]);
