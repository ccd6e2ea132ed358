/** What a file says: manifests, a short form, or what a configuration module exported. One shape for all three. */
import { dirname, resolve } from 'node:path';
import { hashText } from '../base/canonical.ts';
import type { Problem } from '../base/problem.ts';
import { DocumentOrigin } from '../resource/origin.ts';
import { NOT_PLAIN, readPlainYaml } from '../resource/plain-yaml.ts';
import { type ReadCache, type ReadDocument, readManifests } from '../resource/read.ts';
import { readYaml } from '../resource/yaml.ts';
import { readFileText } from './file-read.ts';
import type { ModuleRun } from './module.ts';
import { ModuleLocator } from './short/module-locator.ts';
import { type Locator, readShortForm, type ShortCache } from './short/read.ts';
import { YamlLocator } from './short/yaml-locator.ts';

/** One document of a file. */
export interface Document extends ReadDocument {
  /** Nobody wrote it: it gives way to another of the same key without a word. */
  readonly implied?: true;
}

export interface FileContent {
  readonly documents: readonly Document[];
  /** Those of all documents, and those of the file. */
  readonly problems: readonly Problem[];
  /**
   * What is refused together: one document of a manifest file, or the whole of a
   * short form, whose parts lean on each other.
   */
  readonly unit: 'document' | 'file';
  /** Other files that it was made from: when one changes, it is read again. */
  readonly dependencies: readonly string[];
  /** Equal for equal text. */
  readonly hash: string;
  readonly cache: { readonly manifests?: ReadCache; readonly short?: ShortCache };
}

/** A PEM file larger than this is none. */
const PEM_BYTES_MAX = 1024 * 1024;

/** @param previous  the content of the same file before; used up */
export function readContent(text: string, file: string, previous: FileContent | undefined): FileContent {
  const hash = hashText(text);
  const short = findShortForm(text, file);
  if (short === undefined) {
    const { documents, problems, cache } = readManifests(text, file, previous?.cache.manifests);
    return { documents, problems, unit: 'document', dependencies: [], hash, cache: { manifests: cache } };
  }
  if (!('value' in short)) return { ...short, unit: 'file', dependencies: [], hash, cache: previous?.cache ?? {} };
  return contentOf(short.value, { hash, locator: new YamlLocator(file, text), previous });
}

/** Content of a module that ran. */
export function moduleContent(run: ModuleRun, file: string, previous: FileContent | undefined): FileContent {
  const { result, files } = run;
  const read = readFileText(file);
  const locator = new ModuleLocator(file, read.kind === 'text' ? read.text : '');
  const dependencies = files.filter((path) => path !== file);
  if (result.kind === 'failed') {
    const at = result.at ?? locator.locate(result.field ?? '');
    const message = `Cannot run the configuration: ${result.reason}`;
    const field = result.field === undefined ? {} : { field: result.field };
    const problems: Problem[] = [{ level: 'error', code: result.code, at, ...field, message }];
    return { documents: [], problems, unit: 'file', dependencies, hash: '', cache: previous?.cache ?? {} };
  }
  const hash = hashText(JSON.stringify(result.value));
  const content = contentOf(result.value, { hash, locator, previous });
  return { ...content, dependencies: [...dependencies, ...content.dependencies] };
}

interface Reading {
  readonly hash: string;
  readonly locator: Locator;
  readonly previous: FileContent | undefined;
}

function contentOf(value: unknown, { hash, locator, previous }: Reading): FileContent {
  const dependencies = new Set<string>();
  const readPem = (path: string): { readonly text: string } | { readonly reason: string } => {
    const full = resolve(dirname(locator.file), path);
    dependencies.add(full);
    const read = readFileText(full, PEM_BYTES_MAX);
    if (read.kind === 'text') return { text: read.text };
    return { reason: read.kind === 'gone' ? 'no such file or directory' : read.reason };
  };
  const before = previous?.cache.short;
  const read = readShortForm(value, { locator, readPem, ...(before !== undefined && { previous: before }) });
  const { documents, problems, cache } = read;
  return { documents, problems, unit: 'file', dependencies: [...dependencies], hash, cache: { short: cache } };
}

const MANIFEST_LINE = /^["']?(?:apiVersion|kind)["']?[ \t]*:/m;
const SHORT_LINE = /^["']?(?:listen|routes)["']?[ \t]*:/m;
/** Not `services`, which a Docker Compose file has as well. */
const SHORT_KEYS = ['listen', 'routes'];

type ShortText = { readonly value: unknown } | Pick<FileContent, 'documents' | 'problems'>;

/**
 * The short form that a text holds; undefined for a text of manifests. Told by
 * what stands in it, and by the name `fourways.yaml` where its first word is
 * misspelt.
 */
function findShortForm(text: string, file: string): ShortText | undefined {
  if (MANIFEST_LINE.test(text)) return undefined;
  const named = /(?:^|\/)fourways\.(?:ya?ml|json)$/.test(file);
  const flow = /^\s*\{/.test(text);
  if (!named && !flow && !SHORT_LINE.test(text)) return undefined;
  return file.endsWith('.json') ? findInJson(text, named) : findInYaml(text, file, named);
}

function findInJson(text: string, named: boolean): ShortText | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isShort(value, named) ? { value } : undefined;
  } catch {
    return undefined; // readManifests says what is wrong with it
  }
}

function findInYaml(text: string, file: string, named: boolean): ShortText | undefined {
  const plain = readPlainYaml(text);
  const { value, mistakes } = plain === NOT_PLAIN ? readYaml(text) : { value: plain, mistakes: [] };
  if (mistakes.length === 0) return isShort(value, named) ? { value } : undefined;
  if (!named && !SHORT_LINE.test(text)) return undefined;
  const origin = new DocumentOrigin(file, { text, line: 1, column: 0 });
  const problems = mistakes.map(({ place, code, message }): Problem => {
    return { level: 'error', code, at: origin.at(place), message };
  });
  return { documents: [{ origin, problems }], problems };
}

function isShort(value: unknown, named: boolean): boolean {
  if (value === null || typeof value !== 'object' || Array.isArray(value) || 'kind' in value) return false;
  return named || SHORT_KEYS.some((key) => key in value);
}
