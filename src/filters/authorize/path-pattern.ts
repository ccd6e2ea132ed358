/**
 * Paths of rules. A rule that allows compares the path as it is forwarded. A rule
 * that denies also compares what a lenient server may make of it, so that no
 * spelling gets by: a path that is denied by mistake is seen and mended, one that
 * is let through is not.
 */
import { compileRegex } from '../../base/safe-regex.ts';

export type PathTest = (path: string) => boolean;

/** What is wrong with a pattern; undefined when nothing is. */
export function patternIssue(pattern: string): string | undefined {
  if (pattern.split('/').some((segment) => segment.includes('**') && segment !== '**')) {
    return `Expected "**" as a whole segment, got "${pattern}"`;
  }
  const regex = regexOf(pattern);
  return regex === undefined || regex.ok ? undefined : `Pattern "${pattern}" is not accepted: ${regex.message}`;
}

/** What comes before `/**`, when that is the only star. */
export function prefixOf(pattern: string): string | undefined {
  const prefix = pattern.endsWith('/**') ? pattern.slice(0, -3) : '*';
  return prefix.includes('*') ? undefined : prefix;
}

/** Of a pattern that was checked by {@link patternIssue}. */
export function globTest(pattern: string): PathTest {
  const regex = regexOf(pattern);
  if (regex?.ok !== true) throw new RangeError(`Cannot read "${pattern}" as a path`);
  return (path) => regex.test(path);
}

/** In linear time: `*` stays in its segment, `**` does not. Undefined where no star is to be found. */
function regexOf(pattern: string): ReturnType<typeof compileRegex> | undefined {
  if (!pattern.includes('*')) return undefined;
  const segments = pattern.split('/').map((segment, i, all) => {
    if (i === 0) return '';
    if (segment !== '**') return `/${segment.split('*').map(literal).join('[^/]*')}`;
    return i === all.length - 1 ? '(?:/(?s:.*))?' : '(?:/[^/]+)*';
  });
  return compileRegex(segments.join(''));
}

function literal(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9_/-]/g, (c) => `\\x{${c.charCodeAt(0).toString(16)}}`);
}

/** `plain`: every server reads the path alike. `capitals`: but for those. `odd`: some may not. */
type Spelling = 'plain' | 'capitals' | 'odd';

/** Odd are escapes, parameters, empty segments, a dot at the end of a segment, a slash at the end, and what is no path. */
function spellingOf(path: string): Spelling {
  let last = 0;
  let spelling: Spelling = 'plain';
  for (let i = 0; i < path.length; i++) {
    const c = path.charCodeAt(i);
    const kind = KINDS[c];
    if (kind === CAPITAL) spelling = 'capitals';
    else if (kind !== PLAIN && (c !== SLASH || last === SLASH || last === DOT)) return 'odd';
    last = c;
  }
  return last === SLASH || last === DOT ? 'odd' : spelling;
}

const SPACE = 0x20;
const DOT = 0x2e;
const SLASH = 0x2f;
const BACKSLASH = 0x5c;
const PLAIN = 1;
const CAPITAL = 2;

/** By character; 0 is odd. */
const KINDS = new Uint8Array(256);
for (const c of "abcdefghijklmnopqrstuvwxyz0123456789._~!$&'()*+,=:@-") KINDS[c.charCodeAt(0)] = PLAIN;
for (const c of 'ABCDEFGHIJKLMNOPQRSTUVWXYZ') KINDS[c.charCodeAt(0)] = CAPITAL;

/**
 * A path as the most lenient of servers read it: escapes decoded again and again,
 * case ignored, backslashes as slashes, parameters (`;…`), spaces and controls
 * around segments and empty segments left out, only then dot segments resolved, and
 * dots at the end of a name left out, as Windows does. A second form where a query,
 * fragment or NUL comes to light, at which some end a path.
 */
export function looseForms(path: string): readonly string[] {
  const spelling = spellingOf(path);
  if (spelling !== 'odd') return [spelling === 'plain' ? path : path.toLowerCase()];
  const text = decodedAgain(path);
  const end = text.search(/[?#\0]/);
  return end < 0 ? [looseForm(text)] : [looseForm(text), looseForm(text.slice(0, end))];
}

function looseForm(text: string): string {
  const segments: string[] = [];
  for (const segment of looseSegments(text)) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  return `/${segments.join('/')}`;
}

/** Parts between slashes of either kind, as {@link bareSegment}; empty ones are left out. */
function looseSegments(text: string): string[] {
  const lower = text.toLowerCase();
  const segments: string[] = [];
  let start = 0;
  for (let i = 0; i <= lower.length; i++) {
    const c = lower.charCodeAt(i);
    if (c !== SLASH && c !== BACKSLASH && i < lower.length) continue;
    if (i > start) segments.push(bareSegment(lower.slice(start, i)));
    start = i + 1;
  }
  return segments;
}

/**
 * Without parameters, without spaces and controls around it, and without dots at its
 * end: file systems of Windows open `admin` for `admin.` and `admin `, and a `$` of
 * many a regular expression takes a line end behind `admin`.
 */
function bareSegment(segment: string): string {
  const parameters = segment.indexOf(';');
  let end = parameters < 0 ? segment.length : parameters;
  let start = 0;
  while (start < end && segment.charCodeAt(start) <= SPACE) start++;
  while (end > start && segment.charCodeAt(end - 1) <= SPACE) end--;
  const name = segment.slice(start, end);
  if (name === '.' || name === '..') return name;
  while (end > start && (segment.charCodeAt(end - 1) === DOT || segment.charCodeAt(end - 1) <= SPACE)) end--;
  return segment.slice(start, end);
}

/** Whether a server that decodes, or leaves out spaces, would find `..`, and be somewhere else than the path says. */
export function climbs(path: string): boolean {
  return path.includes('%') && looseSegments(decodedAgain(path)).includes('..');
}

/** How often servers are known to decode: once in a proxy, once in a framework, once in an application. */
const DECODINGS_MAX = 3;

function decodedAgain(path: string): string {
  let text = path;
  for (let i = 0; i < DECODINGS_MAX && text.includes('%'); i++) text = decoded(text);
  return text;
}

/** Escapes as bytes, in UTF-8 where they are. What is no escape stands for itself. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text.replaceAll(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  }
}
