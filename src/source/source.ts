/** Where resources come from: a file or a folder, read once or watched. */
import type { Problem } from '../base/problem.ts';
import type { Resource } from '../resource/resource.ts';

/** All that a source gives at one moment. */
export interface Loaded {
  /**
   * What counts, in the order of files and documents. An unchanged resource is
   * the identical object from one reading to the next.
   */
  readonly resources: readonly Resource[];
  readonly problems: readonly Problem[];
  /** Files that were read, for the log. */
  readonly files: readonly string[];
  /**
   * `some`: a document or file could not be taken, what it said before goes on
   * where that is known. `all`: nothing could be read at all.
   */
  readonly broken: 'no' | 'some' | 'all';
  /** Monotonic time at which the first change since the last reading was seen. */
  readonly seenMs: number;
}

export interface Source {
  /** Reads everything. Never rejects: what cannot be read is a problem. */
  load(): Promise<Loaded>;
  /**
   * Tells every change after {@link load}, until the result is called. Several
   * changes in the same moment are told once.
   */
  watch(onChange: (loaded: Loaded) => void): () => void;
  /** Writes what is still to be kept. For the end of a process: a change just before it must not be forgotten. */
  flush(): Promise<void>;
}
