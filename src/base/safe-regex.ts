/**
 * Regular expressions that operators write and strangers feed: matched in time
 * linear in the text whatever the expression, so that none can be used to stop a
 * proxy (ReDoS). The syntax is what RE2 and PCRE have in common: characters and
 * escapes, `.`, classes (`[a-z]`, `\d \w \s`, `[[:alpha:]]`), groups, `|`,
 * `* + ? {n,m}` greedy or lazy, `^ $ \b \B`, `(?i)` and `(?s)`; in patterns of schemas
 * also lookaround and `\p{…}`. Backreferences and what else is not known are refused.
 */
import { LookMatcher } from './regex/look.ts';
import { Matcher } from './regex/matcher.ts';
import { parseRegex } from './regex/parse.ts';
import { programOf } from './regex/program.ts';
import { ANYTHING } from './regex/ranges.ts';
import { Refusal, type Syntax } from './regex/syntax.ts';

export interface Regex {
  readonly ok: true;
  /** Whether the whole text matches. Texts are latin1 as a rule; any string is taken, as code points. */
  test(text: string): boolean;
  /** Every text that matches starts with this; may be empty. */
  readonly literalPrefix: string;
}

export interface RegexRefused {
  readonly ok: false;
  /** What is wrong. Sentence case, no full stop. */
  readonly message: string;
  /** Where in the expression, in characters from 0. */
  readonly offset: number;
}

/** Checks an expression, or says what of it is not accepted. It is compiled at its first use. */
export function compileRegex(source: string): Regex | RegexRefused {
  try {
    const syntax = parseRegex(source);
    const literal = literalOf(syntax);
    if (literal.rest === 'none')
      return { ok: true, literalPrefix: literal.text, test: (text) => text === literal.text };
    programOf(syntax);
    // The tables are made by the first text: of thousands of routes, few are hot.
    let matcher: Matcher | undefined;
    const test = (text: string): boolean => (matcher ??= new Matcher(programOf(parseRegex(source)))).test(text);
    return { ok: true, literalPrefix: literal.text, test };
  } catch (error) {
    return refusalOf(error);
  }
}

export interface Pattern {
  readonly ok: true;
  /** Whether a part of the text matches. */
  test(text: string): boolean;
}

/**
 * Checks a pattern of a JSON Schema: it is looked for anywhere in a text, and may have lookaround and `\p{…}`. With lookaround, a text that
 * is too long does not match ({@link REGEX_LOOK_WORK_MAX}).
 */
export function compilePattern(source: string): Pattern | RegexRefused {
  try {
    const program = programOf(anywhere(parseRegex(source, 'schema')));
    if (program.looks.length > 0) {
      const matcher = new LookMatcher(parseRegex(source, 'schema'));
      return { ok: true, test: (text) => matcher.test(text) };
    }
    // Of thousands of patterns of a document, few are asked.
    let matcher: Matcher | undefined;
    const test = (text: string): boolean =>
      (matcher ??= new Matcher(programOf(anywhere(parseRegex(source, 'schema'))))).test(text);
    return { ok: true, test };
  } catch (error) {
    return refusalOf(error);
  }
}

function anywhere(syntax: Syntax): Syntax {
  const anything: Syntax = {
    kind: 'repeat',
    item: { kind: 'one-of', ranges: ANYTHING },
    min: 0,
    max: Infinity,
    offset: 0,
  };
  return { kind: 'sequence', items: [anything, syntax, anything] };
}

function refusalOf(error: unknown): RegexRefused {
  if (error instanceof Refusal) return { ok: false, message: error.message, offset: error.offset };
  throw error;
}

/** The characters that an expression begins with, and whether anything comes after them. */
function literalOf(syntax: Syntax): { text: string; rest: 'none' | 'some' } {
  if (syntax.kind === 'one-of') {
    const [first, last] = syntax.ranges;
    if (syntax.ranges.length === 2 && first === last) return { text: String.fromCodePoint(first!), rest: 'none' };
    return { text: '', rest: 'some' };
  }
  if (syntax.kind !== 'sequence') return { text: '', rest: 'some' };
  let text = '';
  for (const item of syntax.items) {
    // An anchor at the very start changes nothing: the whole text is matched anyway.
    if (text === '' && item.kind === 'assert' && item.assertion === 'start') continue;
    const literal = literalOf(item);
    text += literal.text;
    if (literal.rest === 'some') return { text, rest: 'some' };
  }
  return { text, rest: 'none' };
}
