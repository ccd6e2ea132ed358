/**
 * Questions to running proxies, and their answers. Plain data and one way to ask: the same for a worker thread, for all
 * workers of a process, for a proxy behind a stream, and for all proxies of a mesh.
 */

export interface Ask {
  /** What it is about: `connections`. A proxy that does not know it says so. */
  readonly topic: string;
  /** Plain JSON, as the topic has it. */
  readonly body: object;
}

/** How it ended. Everything but `done` is a failure of this proxy alone. */
export type AskEnd =
  | { readonly kind: 'done' }
  /**
   * - `unsupported`: it does not know the topic
   * - `refused`: what is asked makes no sense
   * - `busy`: it has too many questions already
   * - `silent`: it did not answer in time
   * - `overdone`: it said more than anybody wants to hear
   * - `gone`: it is not there any more
   * - `elsewhere`: it cannot be asked from here
   */
  | {
      readonly kind: 'unsupported' | 'refused' | 'busy' | 'silent' | 'overdone' | 'gone' | 'elsewhere';
      /** For people. */
      readonly reason: string;
    };

/** Whoever asks. Nothing is called after `end`, nor after the question was taken back; everything may be, at once. */
export interface Asker {
  /** @param lost  answers that were made before this one and left out, because nobody took them fast enough */
  answer(body: object, lost: number): void;
  end(end: AskEnd): void;
}

/** @returns takes the question back; no effect after its end */
export type AskTo = (ask: Ask, asker: Asker) => () => void;

/** Largest question and largest answer, in characters of JSON. What is longer is parted by its topic. */
export const ASK_CHARS_MAX = 16 * 1024;
export const ANSWER_CHARS_MAX = 256 * 1024;

/** The object in a text of JSON; undefined for anything else. */
export function bodyOf(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Questions that one proxy answers at a time. Beyond: `busy`. */
export const ASKS_MAX = 32;
