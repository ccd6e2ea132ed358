/** Messages on file: what parsers were ever found to disagree about, and plain ones. A found input becomes a file. */
import { readdirSync, readFileSync } from 'node:fs';

export interface CorpusFile {
  readonly name: string;
  readonly bytes: Buffer;
}

const CORPUS = new URL('corpus/', import.meta.url);

/** @throws {Error} when there is no file: a test that looks at nothing must not pass */
export function readCorpus(folder: 'request' | 'response' | 'manifest'): CorpusFile[] {
  const dir = new URL(`${folder}/`, CORPUS);
  const files = readdirSync(dir).toSorted();
  if (files.length === 0) throw new Error(`Cannot read the corpus: no file in ${dir.pathname}`);
  return files.map((name) => ({ name: name.replace(/\.\w+$/, ''), bytes: readFileSync(new URL(name, dir)) }));
}
