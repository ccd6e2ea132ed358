/**
 * What is made of a file beside the proxy. One reading serves all rules of a
 * worker that name the file; when it changes it is read again, in steps between
 * which requests go on; and when what is there then is wrong, what was read
 * before still holds. While it was never right, whoever asks for its value fails,
 * so that nothing is let through meanwhile; it is looked at again when it changes.
 */
import type { Env, LoweredFile } from './env.ts';

/**
 * Reads a file. Whoever runs it may let others run at each `yield`, which should come every few milliseconds.
 *
 * @throws {Error} when the file is wrong; the message names the line, and nothing of what stands there
 */
export type Reading<T> = (bytes: Buffer) => Generator<undefined, T>;

/** Between two steps: the shortest that timers have. */
const PAUSE_MS = 1;

/** One use of a file. */
export interface FileUse<T> {
  /**
   * What it says now.
   *
   * @throws {FileNotRead} while it was never right
   */
  readonly value: T;
  close(): void;
}

/** Requests that need the file answer 500 `filter.failed`; the log says why. */
export class FileNotRead extends Error {
  override readonly name = 'FileNotRead';
}

/** All files of one kind that are in use. */
export class SharedFiles<T> {
  readonly #read: Reading<T>;
  /** By the memory that all filters of one proxy have in common: two proxies in one process do not meet. */
  readonly #proxies = new WeakMap<SharedArrayBuffer, Map<string, SharedFile<T>>>();

  constructor(read: Reading<T>) {
    this.#read = read;
  }

  /** @param onMade  called with what was made of it, now where it was already, and each time that it is made anew */
  open(env: Env, reference: LoweredFile, onMade?: (made: T) => void): FileUse<T> {
    let files = this.#proxies.get(env.cells);
    if (files === undefined) this.#proxies.set(env.cells, (files = new Map()));
    const known = files.get(reference.file);
    if (known !== undefined) return known.use(env, onMade);
    const file = new SharedFile(reference, this.#read, () => files.delete(reference.file));
    files.set(reference.file, file);
    return file.use(env, onMade);
  }
}

interface Use<T> {
  readonly env: Env;
  readonly onMade: ((made: T) => void) | undefined;
  readonly stop: () => void;
}

class SharedFile<T> {
  readonly #reference: LoweredFile;
  readonly #read: Reading<T>;
  readonly #onUnused: () => void;
  /** The first of them pays for reading and speaks to the operator. */
  readonly #uses = new Set<Use<T>>();
  #value: { readonly made: T } | undefined;
  #stopReading: (() => void) | undefined;
  #changedMeanwhile = false;

  constructor(reference: LoweredFile, read: Reading<T>, onUnused: () => void) {
    this.#reference = reference;
    this.#read = read;
    this.#onUnused = onUnused;
  }

  use(env: Env, onMade: Use<T>['onMade']): FileUse<T> {
    // Watched before it is read: a change in between is seen.
    const stop = env.watchFile(this.#reference, () => this.#changed());
    const use: Use<T> = { env, onMade, stop };
    this.#uses.add(use);
    if (this.#uses.size === 1) this.#readFirst(env);
    if (this.#value !== undefined) onMade?.(this.#value.made);
    const now = (): T => this.#now();
    return {
      get value() {
        return now();
      },
      close: () => this.#leave(use),
    };
  }

  #readFirst(env: Env): void {
    try {
      this.#value = { made: runWhole(this.#read(env.readFile(this.#reference))) };
    } catch (error) {
      this.#say(error);
    }
  }

  #now(): T {
    if (this.#value === undefined) throw new FileNotRead(`${this.#reference.file} was never right`);
    return this.#value.made;
  }

  #leave(use: Use<T>): void {
    use.stop();
    this.#uses.delete(use);
    if (this.#uses.size > 0) return;
    this.#stopReading?.();
    this.#stopReading = undefined;
    this.#onUnused();
  }

  /** Every use hears of a change; one reading is enough. */
  #changed(): void {
    if (this.#stopReading === undefined) this.#readAgain();
    else this.#changedMeanwhile = true;
  }

  #readAgain(): void {
    const env = this.#speaker();
    // Not at once: when all uses have heard of it, it has still not begun.
    this.#stopReading = env.after(PAUSE_MS, () => {
      this.#changedMeanwhile = false;
      try {
        this.#step(this.#read(env.readFile(this.#reference)));
      } catch (error) {
        this.#refuse(error);
      }
    });
  }

  #step(reading: Generator<undefined, T>): void {
    const { done, value } = reading.next();
    if (done !== true) {
      this.#stopReading = this.#speaker().after(PAUSE_MS, () => {
        try {
          this.#step(reading);
        } catch (error) {
          this.#refuse(error);
        }
      });
      return;
    }
    this.#value = { made: value };
    this.#speaker().count('file_read');
    for (const { onMade } of this.#uses) onMade?.(value);
    this.#over();
  }

  #refuse(error: unknown): void {
    this.#say(error);
    this.#over();
  }

  #say(error: unknown): void {
    const env = this.#speaker();
    env.count('file_refused');
    const meanwhile =
      this.#value === undefined
        ? 'requests that need it answer 500 until it is right'
        : 'what it said before still holds';
    env.warn(`Cannot read ${this.#reference.file}: ${reasonOf(error)}; ${meanwhile}`);
  }

  #over(): void {
    this.#stopReading = undefined;
    if (this.#changedMeanwhile) this.#readAgain();
  }

  #speaker(): Env {
    return this.#uses.values().next().value!.env;
  }
}

/** Without letting anybody run between. */
export function runWhole<T>(reading: Generator<undefined, T>): T {
  for (;;) {
    const { done, value } = reading.next();
    if (done === true) return value;
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
};

/** What the system said, in words where it is usual. Else what the reading says. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'it failed';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  return code === undefined ? error.message : (REASONS[code] ?? code);
}

/** Events of a filter that uses files, for its declaration. */
export const FILE_EVENTS = {
  file_read: 'Times that a file was read again because it changed.',
  file_refused:
    'Times that a file could not be read or was wrong; what it said before still holds, if it was ever right.',
};
