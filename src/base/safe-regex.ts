// placeholder
export interface Regex {
  readonly ok: true;
  test(input: string): boolean;
  readonly literalPrefix: string;
}
export interface RegexRefused {
  readonly ok: false;
  readonly message: string;
  readonly offset: number;
}
export function compileRegex(source: string): Regex | RegexRefused {
  const r = new RegExp(`^(?:${source})$`);
  return { ok: true, test: (i) => r.test(i), literalPrefix: '' };
}
