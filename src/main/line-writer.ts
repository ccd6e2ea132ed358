/**
 * Lines for standard output and standard error that never hold up the process:
 * what a slow reader leaves behind is bounded, what does not fit is refused, and
 * a reader that has gone or a full disk is an answer, not an end.
 */
import { Buffer } from 'node:buffer';
import { constants, fstatSync, openSync, write } from 'node:fs';
import { Socket } from 'node:net';

/** Takes text in order. `done` is called once, with what went wrong if anything did. */
export type Sink = (text: string, done: (error: Error | undefined) => void) => void;

/** Characters that may wait for a slow reader. Beyond: refused. */
const WAITING_CHARS_MAX = 8 * 1024 * 1024;

export class LineWriter {
  readonly #sink: Sink;
  readonly #charsMax: number;
  #waitingChars = 0;
  #dropped = 0;
  #idle: (() => void)[] = [];

  constructor(sink: Sink, charsMax: number = WAITING_CHARS_MAX) {
    this.#sink = sink;
    this.#charsMax = charsMax;
  }

  /** Resolves when the system has taken `text`. @throws {Error} when it was refused: too much waits, or nobody reads */
  write(text: string): Promise<void> {
    if (this.#waitingChars + text.length > this.#charsMax) {
      return Promise.reject(new Error('Cannot write: the reader is too slow'));
    }
    this.#waitingChars += text.length;
    return new Promise((resolve, reject) => {
      this.#sink(text, (error) => {
        this.#waitingChars -= text.length;
        if (error === undefined) resolve();
        else reject(error);
        if (this.#waitingChars === 0) for (const done of this.#idle.splice(0)) done();
      });
    });
  }

  /** Writes one line; one that cannot be written is counted and forgotten. */
  line(text: string): void {
    this.write(`${text}\n`).catch(() => this.#dropped++);
  }

  /** Lines of {@link line} that were lost. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Resolves when nothing waits any more. */
  idle(): Promise<void> {
    return this.#waitingChars === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }
}

/**
 * The sink for an open descriptor. A file is written through the thread pool. A
 * pipe, socket or terminal is written by `stream`, which does not block: a thread
 * that waits in a pipe nobody reads would keep the process from ending.
 *
 * A pipe is opened anew for it. Whether writing blocks is said of an open file, which
 * processes inherit from each other: any of them that starts a program makes it
 * block for all.
 */
export function sinkOf(fd: number, stream: NodeJS.WritableStream): Sink {
  const kind = kindOf(fd);
  if (kind === 'file') return fileSink(fd);
  const own = (kind === 'pipe' ? ownPipe(fd) : undefined) ?? stream;
  // Each write reports its own failure; without a listener the first would end the process.
  own.on('error', () => undefined);
  return (text, done) => void own.write(text, (error) => done(error ?? undefined));
}

/** What a descriptor is. `socket` also stands for what cannot be looked at. */
export function kindOf(fd: number): 'file' | 'pipe' | 'terminal' | 'socket' {
  try {
    const stats = fstatSync(fd);
    if (stats.isFile()) return 'file';
    if (stats.isFIFO()) return 'pipe';
    return stats.isCharacterDevice() ? 'terminal' : 'socket';
  } catch {
    return 'socket';
  }
}

/** Linux only; a socket cannot be opened again. */
function ownPipe(fd: number): NodeJS.WritableStream | undefined {
  try {
    const own = openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK);
    const socket = new Socket({ fd: own, readable: false, writable: true });
    // As standard output does: it keeps no process that has ended.
    socket.unref();
    return socket;
  } catch {
    return undefined;
  }
}

export function fileSink(fd: number): Sink {
  const queue: { readonly bytes: Buffer; readonly done: (error: Error | undefined) => void }[] = [];
  let inLine = false;

  const next = (): void => {
    const job = queue[0];
    if (job === undefined) return;
    // After a write that failed half way (a full disk), the rest of that line is lost: the next begins on its own.
    const bytes = inLine ? Buffer.concat([Buffer.from('\n'), job.bytes]) : job.bytes;
    const put = (from: number): void =>
      write(fd, bytes, from, bytes.length - from, null, (error, count) => {
        if (error === null && from + count < bytes.length) {
          put(from + count);
          return;
        }
        inLine = error !== null && (inLine || from > 0);
        queue.shift();
        job.done(error ?? undefined);
        next();
      });
    put(0);
  };

  return (text, done) => {
    queue.push({ bytes: Buffer.from(text), done });
    if (queue.length === 1) next();
  };
}
