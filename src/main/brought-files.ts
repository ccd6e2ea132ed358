/** An issuer that the operator brings, out of its files. */
import { readFile } from 'node:fs/promises';
import { formatProblem } from '../base/problem.ts';
import { type BroughtIssuer, type BroughtText, readBrought } from '../identity/brought.ts';
import { StartFailure } from './start-failure.ts';

/** Absolute paths. */
export interface IssuerFiles {
  /** PEM: the issuer, then what is between it and its root, then the root. */
  readonly chain: string;
  /** PEM without a passphrase. */
  readonly key: string;
}

/** @throws {StartFailure} with every problem that was found in them */
export async function readIssuerFiles(
  { chain, key }: IssuerFiles,
  about: { readonly trustDomain: string; readonly nowMs: number },
): Promise<BroughtIssuer> {
  const texts = { chain: await readText(chain, '--mesh-issuer'), key: await readText(key, '--mesh-issuer-key') };
  const read = readBrought({ ...texts, ...about });
  if ('issuer' in read) return read;
  throw new StartFailure(['The issuer that was brought cannot be used:', ...read.map(formatProblem)].join('\n'));
}

async function readText(file: string, field: string): Promise<BroughtText> {
  try {
    return { text: await readFile(file, 'utf8'), at: { file, line: 1, column: 1 }, field };
  } catch (error) {
    throw new StartFailure(`Option ${field}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
