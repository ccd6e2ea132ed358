/**
 * The accepted resources on disk, for a cold start while the sources are broken
 * or away: `DATA/last-good.json`, one resource a line, with a checksum at the end
 * so that a torn or altered file is refused. Mode 0600: secrets are inside.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { setImmediate as yieldToLoop } from 'node:timers/promises';
import type { Position, Problem } from '../base/problem.ts';
import { interpret } from '../resource/manifest.ts';
import type { Origin, Resource } from '../resource/resource.ts';
import { manifestOf } from '../resource/write.ts';
import { replaceFile } from '../store/replace-file.ts';
import type { Accepted } from './accept.ts';
import { fileProblem, systemReason } from './file-problem.ts';
import { readFileText } from './file-read.ts';
import type { Remembered } from './identity.ts';

const FILE_NAME = 'last-good.json';
const FORMAT = 1;
/** Above what any source may hold, so that what was written can be read. */
const FILE_BYTES_MAX = 1024 * 1024 * 1024;

/** One accepted resource, as it stands in the file. */
interface Line {
  readonly file: string;
  readonly line: number;
  readonly key: string;
  readonly readMs: number;
  readonly implied?: true;
  readonly generation: number;
  readonly creationMs?: number;
  readonly order?: number;
  readonly manifest: Readonly<Record<string, unknown>>;
}

/** What is to be kept of one resource. */
export interface Keepsake {
  readonly accepted: Accepted;
  readonly remembered: Remembered | undefined;
}

/** What an earlier run left. Interprets what is asked for only: mostly nothing is. */
export class LastGood {
  readonly #byFile: ReadonlyMap<string, readonly Line[]>;
  /** What was wrong with the file, if it was there. */
  readonly problem: Problem | undefined;

  constructor(lines: readonly Line[], problem?: Problem) {
    this.#byFile = Map.groupBy(lines, ({ file }) => file);
    this.problem = problem;
  }

  files(): readonly string[] {
    return [...this.#byFile.keys()];
  }

  /** What counted of a file. What cannot be read any more (a field was removed since) is left out. */
  acceptedOf(file: string): readonly Accepted[] {
    return (this.#byFile.get(file) ?? []).flatMap((line): Accepted[] => {
      const { resource } = interpret(line.manifest, new KeptOrigin(line));
      if (resource === undefined) return [];
      const { key, readMs, implied, order } = line;
      const placed: Resource =
        order === undefined ? resource : { ...resource, metadata: { ...resource.metadata, order } };
      return [{ key, resource: placed, readMs, standing: implied ? 'implied' : 'written' }];
    });
  }

  remembered(): ReadonlyMap<string, Remembered> {
    const all = [...this.#byFile.values()].flat();
    return new Map(
      all.map(({ key, generation, creationMs, manifest }) => [key, { generation, creationMs, spec: manifest['spec'] }]),
    );
  }
}

class KeptOrigin implements Origin {
  readonly file: string;
  readonly line: number;

  constructor({ file, line }: Line) {
    this.file = file;
    this.line = line;
  }

  locate(): Position {
    return { file: this.file, line: this.line, column: 1 };
  }
}

/** @param root  path of the source: what another source left is not ours */
export function readLastGood(dir: string, root: string): LastGood {
  const path = join(dir, FILE_NAME);
  const read = readFileText(path, FILE_BYTES_MAX);
  if (read.kind === 'gone') return new LastGood([]);
  if (read.kind === 'failed') return unusable(path, read.reason);
  const parsed = parse(read.text);
  if (typeof parsed === 'string') return unusable(path, parsed);
  return new LastGood(parsed.root === root ? parsed.resources : []);
}

function unusable(path: string, reason: string): LastGood {
  const message = `Cannot use what was kept in "${path}": ${reason}`;
  return new LastGood([], { ...fileProblem(path, { code: 'last-good.unusable', message }), level: 'warning' });
}

interface Body {
  readonly format: number;
  readonly root: string;
  readonly resources: readonly Line[];
}

/** The file is JSON whose last line closes the list and has the checksum of all before it. */
function parse(text: string): Body | string {
  const end = text.lastIndexOf('\n],"sha256":');
  const digest = /^\n\],"sha256":"([0-9a-f]{64})"\}\n$/.exec(text.slice(end))?.[1];
  if (end < 0 || digest === undefined) return 'its end is missing';
  if (createHash('sha256').update(text.slice(0, end)).digest('hex') !== digest) return 'its checksum is wrong';
  const body = JSON.parse(text) as Body;
  return body.format === FORMAT ? body : `it has format ${body.format}: format ${FORMAT} is known`;
}

/** Lines written before the loop gets its turn: about 1 ms. */
const SLICE_LINES = 64;

/**
 * Writes all of it anew.
 *
 * @param owner  tells the temporary files of two processes apart
 * @returns in words why it could not be written
 */
export async function writeLastGood(
  { dir, root, owner }: { readonly dir: string; readonly root: string; readonly owner: string },
  keepsakes: Iterable<Keepsake>,
): Promise<string | undefined> {
  const path = join(dir, FILE_NAME);
  try {
    await replaceFile({ path, owner }, fileOf(root, keepsakes));
    return undefined;
  } catch (error) {
    return `Cannot write "${path}": ${systemReason(error)}`;
  }
}

async function* fileOf(root: string, keepsakes: Iterable<Keepsake>): AsyncGenerator<string> {
  const hash = createHash('sha256');
  const counted = (text: string): string => {
    hash.update(text);
    return text;
  };
  yield counted(`{"format":${FORMAT},"root":${JSON.stringify(root)},"resources":[`);
  for await (const slice of slices(keepsakes)) yield counted(slice);
  yield `\n],"sha256":"${hash.digest('hex')}"}\n`;
}

async function* slices(keepsakes: Iterable<Keepsake>): AsyncGenerator<string> {
  let text = '';
  let count = 0;
  for (const keepsake of keepsakes) {
    text += `${count === 0 ? '' : ','}\n${JSON.stringify(lineOf(keepsake))}`;
    if (++count % SLICE_LINES > 0) continue;
    yield text;
    text = '';
    await yieldToLoop();
  }
  yield text;
}

function lineOf({ accepted: { key, resource, readMs, standing }, remembered }: Keepsake): Line {
  const { metadata, origin } = resource;
  const creationMs = remembered?.creationMs;
  return {
    file: origin.file,
    line: origin.line,
    key,
    readMs,
    ...(standing === 'implied' && { implied: true }),
    generation: remembered?.generation ?? metadata.generation,
    ...(creationMs !== undefined && { creationMs }),
    ...(metadata.order !== undefined && { order: metadata.order }),
    manifest: openManifestOf(resource),
  };
}

/** Unlike what is printed for people, this has the values of secrets. */
function openManifestOf(resource: Resource): Readonly<Record<string, unknown>> {
  const manifest = manifestOf(resource);
  if (resource.kind !== 'Secret') return manifest;
  const { data: _, ...rest } = manifest;
  const { data } = resource;
  return { ...rest, stringData: Object.fromEntries(data.keys().map((name) => [name, data.get(name)])) };
}
