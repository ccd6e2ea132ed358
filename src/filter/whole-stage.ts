/** Short bodies that become other bytes at their end, in one call: without a stream and without the thread pool. */
import type { Fault } from '../base/fault.ts';
import type { BodyOut, BodyStage } from './filter.ts';

export interface WholeStageOptions {
  /** Of the body as it comes, in bytes. */
  readonly bodyLength: number;
  /** Makes of the whole body what is sent. Not called for a body that is aborted. */
  readonly become: (body: Buffer) => Buffer;
  /** What it means that it threw. */
  readonly broken: (code: string) => Fault;
  /** Once, at the end or when it is given up. */
  readonly closed: (bytesIn: number, bytesOut: number) => void;
}

const NOTHING = Buffer.alloc(0);

export class WholeStage implements BodyStage {
  readonly #options: WholeStageOptions;
  /** All of it is kept. */
  #body: Buffer;
  #out: BodyOut | undefined;
  #bytesIn = 0;
  #over = false;

  constructor(options: WholeStageOptions) {
    this.#options = options;
    this.#body = Buffer.allocUnsafe(options.bodyLength);
  }

  start(out: BodyOut): void {
    this.#out = out;
  }

  write(bytes: Buffer): boolean {
    if (this.#over) return true;
    // Not that long: what stands before has changed it, and has not said so.
    if (this.#bytesIn + bytes.length > this.#body.length)
      this.#body = Buffer.concat([this.#body.subarray(0, this.#bytesIn), bytes]);
    else bytes.copy(this.#body, this.#bytesIn); // they are lent
    this.#bytesIn += bytes.length;
    return true;
  }

  end(): void {
    if (this.#over) return;
    let made: Buffer;
    try {
      made = this.#options.become(this.#body.subarray(0, this.#bytesIn));
    } catch (error) {
      this.#close(0);
      return this.#out!.fail(this.#options.broken((error as NodeJS.ErrnoException).code ?? (error as Error).name));
    }
    this.#close(made.length);
    // What comes last needs nobody's leave to go on.
    this.#out!.bytes(made);
    this.#out!.end();
  }

  resume(): void {
    this.#out!.resume();
  }

  abort(): void {
    this.#close(0);
  }

  #close(bytesOut: number): void {
    if (this.#over) return;
    this.#over = true;
    this.#body = NOTHING;
    this.#options.closed(this.#bytesIn, bytesOut);
  }
}
