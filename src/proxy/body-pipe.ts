/** Stages that a body passes one after the other, each told to wait by the one behind it. */
import type { Fault } from '../base/fault.ts';
import type { BodyOut, BodyStage } from '../filter/filter.ts';
import type { Headers } from '../http/headers.ts';

/** What comes out at the end. */
export interface PipeEnd {
  /** @returns false when enough is waiting there: {@link BodyPipe.resume} says when to go on */
  onPipeBytes(bytes: Buffer): boolean;
  onPipeEnd(trailers: Headers | undefined): void;
  onPipeFault(fault: Fault): void;
  /** More can be written again. */
  onPipeWritable(): void;
}

export class BodyPipe {
  readonly #end: PipeEnd;
  readonly #stages: BodyStage[] = [];
  #over = false;
  #trailers: Headers | undefined;

  constructor(end: PipeEnd) {
    this.#end = end;
  }

  get isEmpty(): boolean {
    return this.#stages.length === 0;
  }

  /** Behind the stages that are there. Before anything is written. */
  attach(stage: BodyStage): void {
    const at = this.#stages.push(stage) - 1;
    const out: BodyOut = {
      bytes: (bytes) => {
        if (this.#over) return true;
        const behind = this.#stages[at + 1];
        return behind === undefined ? this.#end.onPipeBytes(bytes) : behind.write(bytes);
      },
      end: (trailers) => {
        if (this.#over) return;
        this.#trailers = trailers ?? this.#trailers;
        const behind = this.#stages[at + 1];
        if (behind !== undefined) return behind.end();
        this.#over = true;
        this.#end.onPipeEnd(this.#trailers);
      },
      fail: (fault) => {
        if (this.#over) return;
        this.abort();
        this.#end.onPipeFault(fault);
      },
      resume: () => {
        if (this.#over) return;
        if (at === 0) this.#end.onPipeWritable();
        else this.#stages[at - 1]!.resume();
      },
    };
    stage.start(out);
  }

  /** @returns false when enough is waiting inside: stop until `onPipeWritable` */
  write(bytes: Buffer): boolean {
    return this.#over || this.#stages[0]!.write(bytes);
  }

  /** @param trailers  pass the stages as they are */
  end(trailers: Headers | undefined): void {
    this.#trailers = trailers;
    if (!this.#over) this.#stages[0]!.end();
  }

  /** What is behind the pipe takes more again. */
  resume(): void {
    if (!this.#over) this.#stages.at(-1)!.resume();
  }

  abort(): void {
    if (this.#over) return;
    this.#over = true;
    for (const stage of this.#stages) stage.abort();
  }
}
