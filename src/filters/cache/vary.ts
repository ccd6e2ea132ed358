/** Which fields of a request chose an answer (RFC 9111 section 4.1). */
import type { Headers } from '../../http/headers.ts';

/** Names in one Vary that make sense. With more, the answer is for nobody else. */
const NAMES_MAX = 16;

/**
 * Fields that the proxy writes behind all filters, of each client or request something else: their values are not seen here, and who is
 * answered by them is answered for himself. Scheme, host and port are in the key.
 */
const WRITTEN_LATER: ReadonlySet<string> = new Set([
  'client-cert',
  'client-cert-chain',
  'forwarded',
  'traceparent',
  'x-forwarded-client-cert',
  'x-forwarded-for',
  'x-request-id',
]);

/** Names in lower case, each once; undefined for `*`, for what is not seen here, and for more than anybody means. */
export function varyNames(answer: Headers): readonly string[] | undefined {
  const vary = answer.combined('vary');
  if (vary === undefined) return NONE;
  const names = new Set<string>();
  for (const part of vary.split(',', NAMES_MAX * 2)) {
    const name = part.trim().toLowerCase();
    if (name === '*' || WRITTEN_LATER.has(name)) return undefined;
    if (name !== '') names.add(name);
  }
  return names.size > NAMES_MAX ? undefined : [...names];
}

const NONE: readonly string[] = [];

/** What a request says in these fields, in the form in which values are compared. */
export function varyValues(request: Headers, names: readonly string[]): readonly string[] {
  return names.length === 0 ? NONE : names.map((name) => varyValue(request, name));
}

/** Absent and empty are the same to nobody, so they differ. */
export function varyValue(request: Headers, name: string): string {
  const value = request.combined(name);
  if (value === undefined) return ABSENT;
  if (name === 'accept-encoding') return codings(value);
  const plain = value.replace(/[ \t]*,[ \t]*/g, ',').trim();
  // RFC 9110 section 12.5.4: case means nothing in languages.
  return name === 'accept-language' ? plain.toLowerCase() : plain;
}

/** No value of a field has a line break. */
const ABSENT = '\n';

/** What was read before: clients write few different values. At the bound all is forgotten. */
const READ = new Map<string, string>();
const READ_MAX = 256;
const READ_CHARS_MAX = 128;

/** Clients write the same wish in many ways: the codings that they take, sorted. */
function codings(value: string): string {
  const before = READ.get(value);
  if (before !== undefined) return before;
  const wanted = value
    .toLowerCase()
    .split(',')
    .map((part) => part.replace(/[ \t]+/g, ''))
    .filter((part) => part !== '' && !/;q=0(?:\.0*)?$/.test(part))
    .map((part) => part.replace(/;q=1(?:\.0*)?$/, ''))
    .toSorted()
    .join(',');
  if (READ.size >= READ_MAX) READ.clear();
  if (value.length <= READ_CHARS_MAX) READ.set(value, wanted);
  return wanted;
}
