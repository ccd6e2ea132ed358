/** What a client wishes of an answer: Prefer (RFC 7240) and Accept (RFC 9110 section 12.5.1). */

/** Characters of a field that are looked at; more is a mistake or an attack. */
const CHARS_MAX = 1_024;

export interface Preference {
  readonly code: number | undefined;
  readonly example: string | undefined;
}

const NONE: Preference = { code: undefined, example: undefined };

/** A preference: a token, a value that is a token or quoted; parameters after `;` are passed over. */
const ITEM =
  /([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+.^_`|~0-9A-Za-z-]*)))?((?:[ \t]*;(?:[^",;]|"(?:[^"\\]|\\.)*")*)*)[ \t]*(?:,|$)/y;

/** RFC 7240 section 2: the first of each name counts; what is not known, or not written well, is not there. */
export function preferenceOf(field: string | undefined): Preference {
  if (field === undefined || field.length > CHARS_MAX) return NONE;
  const found = new Map<string, string>();
  let at = 0;
  while (at < field.length) {
    const blank = field[at]!;
    if (blank === ' ' || blank === '\t' || blank === ',') {
      at++;
      continue;
    }
    ITEM.lastIndex = at;
    const match = ITEM.exec(field);
    if (match === null) break;
    at = ITEM.lastIndex;
    const name = match[1]!.toLowerCase();
    const value = match[2]?.replaceAll(/\\(.)/g, '$1') ?? match[3] ?? '';
    if ((name === 'code' || name === 'example') && !found.has(name)) found.set(name, value);
  }
  const code = found.get('code') ?? '';
  return { code: /^[2-5]\d\d$/.test(code) ? Number(code) : undefined, example: found.get('example') };
}

interface Range {
  readonly type: string;
  readonly quality: number;
}

/** Of types in order of preference, the one that is accepted most; undefined where none is. */
export function acceptedOf<T extends { readonly type: string }>(
  types: readonly T[],
  field: string | undefined,
): T | undefined {
  if (field === undefined || field.trim() === '' || field.length > CHARS_MAX) return types[0];
  const ranges = field.split(',').map(rangeOf);
  let best: T | undefined;
  let bestQuality = 0;
  for (const one of types) {
    const quality = qualityOf(one.type, ranges);
    if (quality > bestQuality) [best, bestQuality] = [one, quality];
  }
  return best;
}

function rangeOf(text: string): Range {
  const [type, ...parameters] = text.split(';').map((part) => part.trim().toLowerCase());
  const quality = parameters.find((one) => one.startsWith('q='))?.slice(2);
  // What is no number in bounds (section 12.4.2) says nothing.
  return {
    type: type!,
    quality: quality !== undefined && /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(quality) ? Number(quality) : 1,
  };
}

/** The most specific range has the word. */
function qualityOf(type: string, ranges: readonly Range[]): number {
  const bare = type.split(';', 1)[0]!.trim().toLowerCase();
  for (const wanted of [bare, `${bare.split('/', 1)[0]}/*`, '*/*']) {
    const range = ranges.find((one) => one.type === wanted);
    if (range !== undefined) return range.quality;
  }
  return 0;
}
