/** Expressions about an exchange that has ended: also of its answer, and of whom it was for. */
import type { EndedExchange } from '../filter/ended.ts';
import { checkIn, compileIn, type Flaw, flawIn } from './expression.ts';
import { ENDED } from './vocabulary.ts';

/** What is wrong with an expression that is to come to true or false, and where; undefined when nothing is. */
export function checkEnded(source: string): string | undefined {
  return checkIn(ENDED, source, 'bool');
}

/** The same, with its place. */
export function flawOfEnded(source: string): Flaw | undefined {
  return flawIn(ENDED, source, 'bool');
}

/** @throws {Error} on what {@link checkEnded} refuses */
export function compileEnded(source: string): (x: EndedExchange) => boolean | undefined {
  return compileIn(ENDED, source, 'bool');
}
