/** Exports of this package that modules of users import. From source and installed alike, they get the copies that run. */
const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';

const OURS: Readonly<Record<string, string>> = {
  'fourways/config': new URL(`./config${EXTENSION}`, import.meta.url).href,
  'fourways/filter': new URL(`../filter/own${EXTENSION}`, import.meta.url).href,
};

/** The address of what is ours. */
export function ownExport(specifier: string): string | undefined {
  return OURS[specifier];
}
