/**
 * Whether an Accept header leaves any of these media types acceptable
 * (RFC 9110 section 12.5.1). Parameters other than `q` are not looked at.
 */
export function accepts(header: string | undefined, types: readonly string[]): boolean {
  if (header === undefined || header.trim() === '') return true;
  const ranges = header.split(',').map(readRange);
  return types.some((type) => qualityOf(type, ranges) > 0);
}

interface Range {
  readonly type: string;
  readonly q: number;
}

function readRange(text: string): Range {
  const [type = '', ...parameters] = text.toLowerCase().split(';');
  const q = parameters.map((parameter) => /^\s*q=([01](?:\.\d{0,3})?)\s*$/.exec(parameter)?.[1]).find(Boolean);
  return { type: type.trim(), q: q === undefined ? 1 : Number(q) };
}

/** The most specific range decides, whatever the others say. */
function qualityOf(type: string, ranges: readonly Range[]): number {
  const family = `${type.slice(0, type.indexOf('/'))}/*`;
  for (const name of [type, family, '*/*']) {
    const range = ranges.find((candidate) => candidate.type === name);
    if (range !== undefined) return range.q;
  }
  return 0;
}
