/**
 * Reader and compiler of manifests, with damaged YAML. Whatever was written:
 * nothing throws, every problem points into the file, reading again with what is
 * remembered gives the same, and a compiler that went through an edit makes the
 * same plan as one that did not.
 */
import { ReadCache, readManifests, type ReadResult } from '../../src/resource/read.ts';
import { Compiler } from '../../src/compile/compile.ts';
import { checkPlan } from '../../src/ir/check.ts';
import type { Resource } from '../../src/resource/resource.ts';
import { readCorpus } from './corpus.ts';
import { fuzz } from './fuzz-loop.ts';

const FILE = 'fuzz.yaml';
const START_MS = Date.UTC(2026, 10, 21);
/** A compiler that has seen many edits; each is followed by what was before, as a person undoes a mistake. */
const longLived = newCompiler();
const good = readManifests(
  readCorpus('manifest')
    .map(({ bytes }) => bytes.toString('utf8'))
    .join('\n---\n'),
  'good.yaml',
);

process.exitCode = await fuzz({ corpus: 'manifest', pieces: 'yaml', check });

async function check(bytes: Buffer): Promise<string | undefined> {
  const text = bytes.toString('utf8');
  const read = readManifests(text, FILE);
  return badPlace(read, text) ?? remembersWrongly(read, text) ?? compilesWrongly(read);
}

/** Every problem is at a line and a column that are there. */
function badPlace({ problems }: ReadResult, text: string): string | undefined {
  const lines = text.split('\n');
  for (const { at, message } of problems) {
    if (at === undefined) return `Problem has no place: ${message}`;
    const line = lines[at.line - 1];
    if (line === undefined || at.column < 1 || at.column > line.length + 1) {
      return `Problem is at ${at.line}:${at.column} of ${lines.length} lines: ${message}`;
    }
    if (message.trim() === '') return `Problem at ${at.line}:${at.column} says nothing`;
  }
  return undefined;
}

function remembersWrongly(read: ReadResult, text: string): string | undefined {
  const said = say(read);
  const again = say(readManifests(text, FILE, read.cache));
  if (again !== said) return `Read again it is another:\n  ${said}\n  ${again}`;
  const fresh = say(readManifests(text, FILE, new ReadCache()));
  return fresh === said ? undefined : `Read twice it is another:\n  ${said}\n  ${fresh}`;
}

function say({ documents, problems }: ReadResult): string {
  const keys = documents.map(({ key, ignored, resource }) => [key, ignored, resource === undefined]);
  return JSON.stringify([keys, problems]);
}

function compilesWrongly({ documents }: ReadResult): string | undefined {
  const resources = documents.flatMap(({ resource }) => resource ?? []);
  const around: Resource[] = good.documents.flatMap(({ resource }) => resource ?? []);
  const all = [...resources, ...around];
  const edited = longLived.compile(all);
  const fresh = newCompiler().compile(all);
  const defects = checkPlan(edited.bundle);
  if (defects.length > 0) return `The plan is broken: ${defects.join('; ')}`;
  if (edited.bundle.plan.version !== fresh.bundle.plan.version) return 'After edits it is another plan than at once';
  const saidEdited = JSON.stringify(edited.problems);
  const saidFresh = JSON.stringify(fresh.problems);
  if (saidEdited !== saidFresh) return `After edits there are other problems:\n  ${saidEdited}\n  ${saidFresh}`;
  edited.statusOf({ bind: '127.0.0.1', ports: {}, appliedVersion: undefined });
  return undefined;
}

function newCompiler(): Compiler {
  return new Compiler({
    controllerName: 'fourways.io/gateway-controller',
    bindDefault: '127.0.0.1',
    wallMs: () => START_MS,
  });
}
