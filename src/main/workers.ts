/** Starts proxies: in worker threads, or the only one in the main thread. */
import { randomBytes } from 'node:crypto';
import { totalmem } from 'node:os';
import type { WorkerOptions } from 'node:worker_threads';
import type { Clock } from '../base/clock.ts';
import { FILTER_CELLS_BYTES, FILTER_MARKS_BYTES } from '../base/limits.ts';
import type { Log, LogLevel } from '../base/log.ts';
import type { Member } from '../control/member.ts';
import { openCells } from '../filter/cells.ts';
import { TICKET_KEY_BYTES } from '../net/ticket-keys.ts';
import type { AskForService } from '../proxy/forward-proxy.ts';
import { LocalMember } from './local-member.ts';
import type { Metering } from './metering.ts';
import { ThreadMember } from './thread-member.ts';
import type { WorkerSettings } from './worker-protocol.ts';

export interface WorkersOptions {
  /** Number of threads; 0 for a proxy in the main thread. */
  readonly count: number;
  /** Address for ports of the plan that name none. */
  readonly bind: string;
  /** Zone that this host is in; empty where nobody has said. */
  readonly zone: string;
  /** How long keys for TLS session tickets seal new ones; they open old ones for as long again. */
  readonly ticketKeysMs: number;
  /** How long ports that leave the plan may still serve what runs there. */
  readonly drainMs: number;
  /** Redis that all proxies share, with its password; undefined for none. */
  readonly redisUrl: string | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly logLevel: LogLevel;
  readonly metering: Metering;
  /** Writes lines of the access log; rejects when they are lost. */
  readonly writeLines: (text: string) => Promise<void>;
  /** Asked for services that the plan does not have; absent where nobody can be. */
  readonly askForService?: AskForService | undefined;
}

/** The main thread among those that use the cells; workers count from 1. */
const MAIN = 0;

const HEAP_MEGABYTES_MIN = 256;
const HEAP_MEGABYTES_MAX = 2_048;

const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
const WORKER_URL = new URL(`./worker${EXTENSION}`, import.meta.url);

/** The environment that a worker may see: what Node itself reads. Ours may hold secrets that are none of its business. */
const ENV_NAMES = [
  'NODE_COMPILE_CACHE',
  'NODE_DISABLE_COMPILE_CACHE',
  'NODE_EXTRA_CA_CERTS',
  'SSL_CERT_DIR',
  'SSL_CERT_FILE',
  'TZ',
] as const;

export class Workers {
  readonly #options: WorkersOptions;
  readonly #members = new Set<RotatingMember>();
  readonly #makeLocal: ((settings: WorkerSettings, onSeries: Parameters<MakeLocal>[1]) => RotatingMember) | undefined;
  readonly #stopRotation: () => void;
  readonly #cells = new SharedArrayBuffer(FILTER_CELLS_BYTES);
  readonly #marks = new SharedArrayBuffer(FILTER_MARKS_BYTES);
  #ticketKeys: WorkerSettings['ticketKeys'] = { current: randomBytes(TICKET_KEY_BYTES), previous: undefined };

  private constructor(options: WorkersOptions, makeLocal: MakeLocal | undefined) {
    this.#options = options;
    this.#makeLocal = makeLocal;
    this.#stopRotation = options.clock.every(options.ticketKeysMs, () => this.#rotateTicketKeys());
  }

  /** Loads the proxy into the main thread only when it is to run there. */
  static async make(options: WorkersOptions): Promise<Workers> {
    return new Workers(options, options.count === 0 ? await localMaker(options) : undefined);
  }

  /** @param worker  its number, from 1 */
  start(worker: number): Member {
    const { count, bind, drainMs, logLevel, metering, log, writeLines, askForService } = this.#options;
    const { slab, onSeries, leave } = metering.desk();
    const shared = {
      ticketKeys: this.#ticketKeys,
      cells: this.#cells,
      redisUrl: this.#options.redisUrl,
      zone: this.#options.zone,
      marks: this.#marks,
      asksForServices: askForService !== undefined,
    };
    const settings = { worker, workers: Math.max(1, count), bind, drainMs, reusePort: true, slab, logLevel, ...shared };
    const member =
      this.#makeLocal?.(settings, onSeries) ??
      new ThreadMember({
        worker,
        url: WORKER_URL,
        thread: this.#thread(settings),
        log,
        onSeries,
        writeLines,
        askForService,
      });
    this.#members.add(member);
    void member.gone.then(() => {
      leave();
      // What it counted as being at work is not any more. Before anybody takes its number.
      openCells(this.#cells, { worker: MAIN, randomBytes }).recover(worker);
      this.#members.delete(member);
    });
    return member;
  }

  close(): void {
    this.#stopRotation();
  }

  #thread(settings: WorkerSettings): WorkerOptions {
    return {
      workerData: settings,
      name: `fourways worker ${settings.worker}`,
      env: workerEnv(),
      // With a limit of its own, a heap that is full ends the worker and not the process.
      resourceLimits: { maxOldGenerationSizeMb: heapMegabytes(this.#options.count) },
    };
  }

  #rotateTicketKeys(): void {
    const current = randomBytes(TICKET_KEY_BYTES);
    this.#ticketKeys = { current, previous: this.#ticketKeys.current };
    for (const member of this.#members) member.rotateTicketKeys(current);
  }
}

/** A proxy, wherever it runs. */
type RotatingMember = Member & { rotateTicketKeys(bytes: Uint8Array): void };

type MakeLocal = (settings: WorkerSettings, onSeries: ReturnType<Metering['desk']>['onSeries']) => RotatingMember;

async function localMaker({ log, writeLines, askForService }: WorkersOptions): Promise<MakeLocal> {
  const { makeNode } = await import('./make-node.ts');
  return (settings, announce) => {
    // The main thread measures itself.
    return new LocalMember(makeNode(settings, { log, announce, writeLines, askForService }), () => undefined);
  };
}

function workerEnv(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    ENV_NAMES.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}

/** Half of the memory there is, shared by the workers; the other half is for buffers, which are outside the heap. */
function heapMegabytes(workers: number): number {
  const limit = process.constrainedMemory();
  const bytes = limit > 0 ? Math.min(limit, totalmem()) : totalmem();
  const share = Math.floor(bytes / 2 / 1_048_576 / workers);
  return Math.min(HEAP_MEGABYTES_MAX, Math.max(HEAP_MEGABYTES_MIN, share));
}
