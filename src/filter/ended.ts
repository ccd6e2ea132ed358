/** An exchange that has ended, with what became of it. */
import type { Exchange } from './filter.ts';

export interface EndedFacts {
  /** 0 when no answer could be given. */
  readonly status: number;
  /** Code of the fault; empty when nothing went wrong. */
  readonly fault: string;
  readonly durationMs: number;
  /** Whom it was for; empty where that is no Service. */
  readonly namespace: string;
  readonly service: string;
}

export interface EndedExchange extends Exchange {
  readonly ended: EndedFacts;
}
