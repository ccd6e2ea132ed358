/** Patterns of origins: `https://shop.test`, `https://*.shop.test`, `https://*`, `*`. */

/** Whether an origin may read answers. */
export type OriginTest = (origin: string) => boolean;

export function originTest(patterns: readonly string[]): OriginTest {
  if (patterns.includes('*')) return () => true;
  const exact = new Set(patterns.filter((pattern) => !pattern.includes('*')).map((pattern) => pattern.toLowerCase()));
  const wild = patterns.filter((pattern) => pattern.includes('*')).map(wildcardTest);
  return (origin) => {
    // Browsers write scheme and host in lower case; other clients may not.
    const lower = origin.toLowerCase();
    return exact.has(lower) || wild.some((test) => test(lower));
  };
}

/** The star stands for one label or more of the host, never for part of a port or a second address. */
function wildcardTest(pattern: string): OriginTest {
  const [start, end] = pattern.toLowerCase().split('*');
  return (origin) =>
    origin.length > start!.length + end!.length &&
    origin.startsWith(start!) &&
    origin.endsWith(end!) &&
    /^[^\s:/?#@,]+$/.test(origin.slice(start!.length, origin.length - end!.length));
}
