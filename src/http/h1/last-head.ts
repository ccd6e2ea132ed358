/**
 * The head that was read last on a connection. Peers say the same again and again (a client that polls, an upstream that
 * gives many answers of one kind within the second of their Date): what is the same to the byte need not be parsed twice.
 */
import type { Headers } from '../headers.ts';
import type { FoundHead } from './head-collector.ts';

/** Longest text, head and what came with it, that is compared; it is held by the message anyway. */
const TEXT_CHARS_MAX = 2_048;

export class LastHead {
  #text = '';

  /** Whether this is the same head, and `headers` hold its fields as they were read then. */
  isSame({ text, start, end }: FoundHead, headers: Headers): boolean {
    const last = this.#text;
    if (start !== 0 || end + 2 !== last.length) return false;
    // A slice of a flat text costs nothing, and comparing it is faster than startsWith.
    if (text.slice(0, last.length) !== last) return false;
    headers.restore();
    return true;
  }

  /** It was read without a fault. */
  keep({ text, start, end }: FoundHead): void {
    this.#text = start === 0 && text.length <= TEXT_CHARS_MAX ? text.slice(0, end + 2) : '';
  }

  forget(): void {
    this.#text = '';
  }
}
