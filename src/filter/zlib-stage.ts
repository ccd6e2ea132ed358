/** Bodies through a stream of node:zlib, which works in the thread pool: either side is told to wait by the other. */
import type { Transform } from 'node:stream';
import type { Zlib } from 'node:zlib';
import type { Fault } from '../base/fault.ts';
import type { BodyOut, BodyStage } from './filter.ts';

export interface ZlibStageOptions {
  /** Called with the first byte of the body (0 when there is none). */
  readonly open: (first: number) => Transform & Zlib;
  /** Asked after each piece that comes out. A fault ends the body. */
  readonly check?: (bytesIn: number, bytesOut: number) => Fault | undefined;
  /** What it means that the stream cannot go on. */
  readonly broken: (code: string) => Fault;
  /** Completes what was written when nothing followed for a while. Left out: everything waits for the end or a full buffer. */
  readonly flush?: FlushRule;
  /** Once, when the memory of the stream is free again. */
  readonly closed?: (bytesIn: number, bytesOut: number) => void;
}

export interface FlushRule {
  readonly kind: number;
  /** 0: with each piece. */
  readonly afterMs: number;
  readonly after: (delayMs: number, run: () => void) => () => void;
}

export class ZlibStage implements BodyStage {
  readonly #options: ZlibStageOptions;
  #out: BodyOut | undefined;
  #stream: (Transform & Zlib) | undefined;
  #bytesIn = 0;
  #bytesOut = 0;
  #over = false;
  #closed = false;
  /** Pieces that the stream has not taken yet. */
  #untaken = 0;
  #cancelFlush: (() => void) | undefined;

  constructor(options: ZlibStageOptions) {
    this.#options = options;
  }

  start(out: BodyOut): void {
    this.#out = out;
  }

  write(bytes: Buffer): boolean {
    if (this.#over || bytes.length === 0) return true;
    const stream = this.#opened(bytes[0]!);
    this.#bytesIn += bytes.length;
    this.#untaken++;
    // A copy: the thread pool reads it after this call.
    return stream.write(Buffer.from(bytes), this.#taken);
  }

  end(): void {
    if (this.#over) return;
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    this.#opened(0).end();
  }

  resume(): void {
    this.#stream?.resume();
    if (this.#stream?.writableNeedDrain !== true) this.#out!.resume();
  }

  abort(): void {
    this.#over = true;
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    if (this.#stream === undefined) this.#close();
    else this.#stream.destroy();
  }

  #opened(first: number): Transform & Zlib {
    if (this.#stream !== undefined) return this.#stream;
    const stream = this.#options.open(first);
    this.#stream = stream;
    stream.on('data', (bytes: Buffer) => this.#give(bytes));
    stream.on('drain', () => {
      if (!this.#over) this.#out!.resume();
    });
    stream.on('end', () => {
      if (this.#over) return;
      this.#over = true;
      this.#out!.end();
    });
    stream.on('error', (error: NodeJS.ErrnoException) => this.#fail(this.#options.broken(error.code ?? error.name)));
    stream.on('close', () => this.#close());
    return stream;
  }

  #give(bytes: Buffer): void {
    if (this.#over) return;
    this.#bytesOut += bytes.length;
    const fault = this.#options.check?.(this.#bytesIn, this.#bytesOut);
    if (fault !== undefined) return this.#fail(fault);
    if (!this.#out!.bytes(bytes)) this.#stream!.pause();
  }

  #fail(fault: Fault): void {
    if (this.#over) return;
    this.#over = true;
    this.#stream?.destroy();
    this.#out!.fail(fault);
  }

  readonly #taken = (): void => {
    this.#untaken--;
    const rule = this.#options.flush;
    if (rule === undefined || this.#untaken > 0 || this.#over || this.#stream!.writableEnded) return;
    if (rule.afterMs === 0) return this.#stream!.flush(rule.kind);
    this.#cancelFlush ??= rule.after(rule.afterMs, () => {
      this.#cancelFlush = undefined;
      if (!this.#over && !this.#stream!.writableEnded) this.#stream!.flush(rule.kind);
    });
  };

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.closed?.(this.#bytesIn, this.#bytesOut);
  }
}

/** Stages that a body passes one after the other, as one. */
export class StageChain implements BodyStage {
  readonly #stages: readonly BodyStage[];

  /** @param stages  one at least, the first one meets the body first */
  constructor(stages: readonly BodyStage[]) {
    this.#stages = stages;
  }

  start(out: BodyOut): void {
    this.#stages.forEach((stage, at) => {
      const behind = this.#stages[at + 1];
      const before = this.#stages[at - 1];
      stage.start({
        bytes: (bytes) => (behind === undefined ? out.bytes(bytes) : behind.write(bytes)),
        end: (trailers) => (behind === undefined ? out.end(trailers) : behind.end()),
        fail: (fault) => {
          this.abort();
          out.fail(fault);
        },
        resume: () => (before === undefined ? out.resume() : before.resume()),
      });
    });
  }

  write(bytes: Buffer): boolean {
    return this.#stages[0]!.write(bytes);
  }

  end(): void {
    this.#stages[0]!.end();
  }

  resume(): void {
    this.#stages.at(-1)!.resume();
  }

  abort(): void {
    for (const stage of this.#stages) stage.abort();
  }
}
