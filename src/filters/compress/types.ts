/** Which answers are worth it, by their Content-Type. */

/** Content-Types that are remembered; thrown away when there are more. */
const SEEN_MAX = 256;

type Takes = 'no' | 'yes' | 'events';

/** @param types  lower case: `text/css`, `text/*`, `application/*+json`, `*` */
export function typeTest(types: readonly string[]): (contentType: string) => Takes {
  const exact = new Set(types);
  const seen = new Map<string, Takes>();
  return (contentType) => {
    const known = seen.get(contentType);
    if (known !== undefined) return known;
    const takes = takesOf(contentType, exact);
    if (seen.size >= SEEN_MAX) seen.clear();
    if (contentType.length <= 256) seen.set(contentType, takes);
    return takes;
  };
}

function takesOf(contentType: string, types: ReadonlySet<string>): Takes {
  const [type, subtype] = (contentType.split(';', 1)[0] ?? '').trim().toLowerCase().split('/');
  if (type === undefined || type === '' || subtype === undefined || subtype === '') return 'no';
  const whole = `${type}/${subtype}`;
  // Events should leave one by one, and messages of gRPC have their own coding: a star does not mean them.
  if (whole === 'text/event-stream') return types.has(whole) ? 'events' : 'no';
  if (whole.startsWith('application/grpc')) return 'no';
  const suffix = subtype.lastIndexOf('+');
  const patterns = [whole, `${type}/*`, '*', ...(suffix < 0 ? [] : [`${type}/*${subtype.slice(suffix)}`])];
  return patterns.some((pattern) => types.has(pattern)) ? 'yes' : 'no';
}
