/** Policies that are proposed, in the files of a configuration: what each file would be, before anything is written. */
import { readFile, stat } from 'node:fs/promises';
import { extname, join, relative, resolve } from 'node:path';
import { formatProblem } from '../base/problem.ts';
import type { Rule } from '../filters/authorize/config.ts';
import { readManifests } from '../resource/read.ts';
import type { Policy, Resource } from '../resource/resource.ts';
import { splitDocuments } from '../resource/split.ts';
import { editYaml, readYaml, writeYaml, type YamlEdit } from '../resource/yaml.ts';
import { CommandFailure, type Io, UsageError } from './command.ts';
import type { Change } from './unified-diff.ts';

/** What one policy should say. */
export interface PolicyWish {
  readonly namespace: string;
  readonly name: string;
  readonly service: string;
  /** Name of the port that it is for; undefined for all of them. */
  readonly port: string | undefined;
  /** Those that were there before are the same objects. */
  readonly rules: readonly Rule[];
  readonly mode: 'audit' | 'enforce';
  readonly before: Policy | undefined;
}

const SHOWN_ONLY = 'policies.yaml';
const YAML: ReadonlySet<string> = new Set(['.yaml', '.yml']);

const HEAD =
  '# Made by "fourways record" of calls that were seen. Change it as you like: recording again adds to it.\n';

/**
 * @param path  file or folder for new policies, as written by the user; undefined: one that is only shown
 * @throws {UsageError} when new policies cannot be put at `path`
 * @throws {CommandFailure} when a policy stands where it cannot be changed
 */
export async function changesFor(wishes: readonly PolicyWish[], path: string | undefined, io: Io): Promise<Change[]> {
  const files = new Files(io);
  for (const wish of wishes) {
    // oxlint-disable-next-line no-await-in-loop -- several may stand in one file
    if (wish.before === undefined) await addNew(files, wish, path);
    // oxlint-disable-next-line no-await-in-loop
    else await changeOld(files, wish, wish.before);
  }
  return files.changes();
}

class Files {
  readonly #io: Io;
  readonly #texts = new Map<string, { readonly before: string | undefined; after: string }>();

  constructor(io: Io) {
    this.#io = io;
  }

  /** Undefined for one that is not there. */
  async read(file: string): Promise<string | undefined> {
    const written = this.written(file);
    if (written !== undefined) return written;
    return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw new CommandFailure(`Cannot read ${file}: ${error.message}`);
    });
  }

  /** @param before  what is there, or was written here before */
  write(file: string, before: string | undefined, after: string): void {
    const known = this.#texts.get(file);
    if (known === undefined) this.#texts.set(file, { before, after });
    else known.after = after;
  }

  /** What was written here. */
  written(file: string): string | undefined {
    return this.#texts.get(file)?.after;
  }

  resolve(path: string): string {
    return resolve(this.#io.cwd, path);
  }

  /** @throws {CommandFailure} when what comes out could not be read */
  changes(): Change[] {
    return [...this.#texts].map(([path, { before, after }]) => {
      const file = relative(this.#io.cwd, path);
      const [mistake] = readManifests(after, file).problems.filter(({ level }) => level === 'error');
      if (mistake === undefined) return { file, before, after };
      throw new CommandFailure(
        `Cannot put policies into ${file}: name another file or a folder with --write\n${formatProblem(mistake)}`,
      );
    });
  }
}

async function addNew(files: Files, wish: PolicyWish, path: string | undefined): Promise<void> {
  const file = files.resolve(await fileFor(files, wish, path));
  // What is only shown is beside nothing that is there.
  const before = path === undefined ? files.written(file) : await files.read(file);
  const text = HEAD + writeYaml(manifestOf(wish));
  if (before === undefined || before.trim() === '') return files.write(file, before, text);
  return files.write(file, before, `${before}${before.endsWith('\n') ? '' : '\n'}---\n${text}`);
}

async function fileFor(files: Files, { namespace, name }: PolicyWish, path: string | undefined): Promise<string> {
  if (path === undefined) return SHOWN_ONLY;
  const there = await stat(files.resolve(path)).catch(() => undefined);
  if (there?.isDirectory() === true) return join(path, `${namespace}-${name}.yaml`);
  if (YAML.has(extname(path))) return path;
  throw new UsageError(`New policies cannot stand in "${path}": must be a folder, or a file that ends in .yaml`);
}

function manifestOf({ namespace, name, service, port, rules, mode }: PolicyWish): object {
  return {
    apiVersion: 'fourways.io/v1alpha1',
    kind: 'Policy',
    metadata: { name, namespace },
    spec: {
      ...(mode === 'audit' && { mode }),
      targetRefs: [{ kind: 'Service', name: service, ...(port !== undefined && { sectionName: port }) }],
      filters: { authorize: { rules: rules.map(written) } },
    },
  };
}

/** That a rule allows goes without saying. */
function written({ effect, ...rule }: Rule): object {
  return effect === 'deny' ? { effect, ...rule } : rule;
}

async function changeOld(files: Files, wish: PolicyWish, before: Policy): Promise<void> {
  const edits = editsOf(wish, before);
  if (edits.length === 0) return;
  const { namespace, name, service } = wish;
  if (!before.spec.targetRefs.some((ref) => ref.kind === 'Service' && ref.name === service)) {
    throw new CommandFailure(
      `Policy ${namespace}/${name} of ${before.origin.file} is not on Service ${namespace}/${service}: rename it, its name is that of what is proposed`,
    );
  }
  const file = files.resolve(before.origin.file);
  const text = YAML.has(extname(file)) ? await files.read(file) : undefined;
  const found = text === undefined ? undefined : documentOf(text, wish);
  if (found === undefined) {
    throw new CommandFailure(
      `Policy ${namespace}/${name} stands in ${before.origin.file}, and not as a YAML document of its own: it cannot be changed there`,
    );
  }
  const { start, piece } = found;
  files.write(file, text, text!.slice(0, start) + editYaml(piece, edits) + text!.slice(start + piece.length));
}

function editsOf({ rules, mode }: PolicyWish, { spec }: Policy): YamlEdit[] {
  const old = rulesOf(spec.filters?.['authorize']);
  const isSame = old.length === rules.length && rules.every((rule, i) => rule === old[i]);
  const list = rules.map((rule) => {
    const kept = old.indexOf(rule);
    return kept === -1 ? { value: written(rule) } : { kept };
  });
  return [
    ...(isSame ? [] : [{ path: ['spec', 'filters', 'authorize', 'rules'], list }]),
    ...((spec.mode ?? 'enforce') === mode
      ? []
      : [
          mode === 'enforce'
            ? { path: ['spec', 'mode'], remove: true as const }
            : { path: ['spec', 'mode'], set: mode },
        ]),
  ];
}

/** Of the configuration of an `authorize`. */
export function rulesOf(config: unknown): readonly Rule[] {
  return (config as { readonly rules?: readonly Rule[] } | undefined)?.rules ?? [];
}

/** The document of a policy, and where it begins. */
function documentOf(text: string, { namespace, name }: PolicyWish): { start: number; piece: string } | undefined {
  const starts = [0, ...[...text.matchAll(/\n/g)].map(({ index }) => index + 1)];
  for (const { text: piece, line } of splitDocuments(text)) {
    const value = readYaml(piece).value as Partial<Resource> | null | undefined;
    const start = starts[line - 1] ?? 0;
    if (value?.kind !== 'Policy' || value.metadata?.name !== name || !text.startsWith(piece, start)) continue;
    if ((value.metadata.namespace ?? 'default') === namespace) return { start, piece };
  }
  return undefined;
}
