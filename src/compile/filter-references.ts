/** What the configuration of a filter refers to (filter/references.ts), looked up. */
import { scryptSync } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { FILTERS_BY_NAME } from '../filters/list.ts';
import { own, type OwnConfig } from '../filters/own/config.ts';
import type { LoweredBackend, LoweredFile, LoweredSecret } from '../filter/env.ts';
import type { LoweredModule, ProgramSpec } from '../filter/own-program.ts';
import type { PlanValue } from '../ir/plan.ts';
import { OWN_GROUP } from '../resource/fields.ts';
import { describe, type Policy, type Secret } from '../resource/resource.ts';
import { pointerOf } from '../schema/compile.ts';
import type { JsonSchema } from '../schema/json-schema.ts';
import { type BackendTarget, findBackend } from './backend.ts';
import type { Broken, Reference } from './reference.ts';
import { mapReferences, type Path, type ReferenceKind, refers } from './reference-walk.ts';
import { type Look, lookUp } from './tables.ts';

export interface NamedValue {
  readonly key: string;
  readonly secret: PlanValue;
}

export interface FilterReferences {
  /** With Secrets and files put in place. */
  readonly config: unknown;
  readonly backends: readonly { readonly path: Path; readonly target: BackendTarget }[];
  readonly values: readonly NamedValue[];
  /** What leads nowhere; the filter cannot run then. */
  readonly broken: readonly { readonly path: Path; readonly why: Broken }[];
}

/** Undefined for a configuration that refers to nothing. Of a filter with parts, `config` is one of them. */
export function filterReferences(
  { filter, config, policy }: { readonly filter: string; readonly config: unknown; readonly policy: Policy },
  look: Look,
): FilterReferences | undefined {
  const declaration = FILTERS_BY_NAME.get(filter);
  const schema = (declaration?.parts?.schema ?? declaration?.config) as JsonSchema | undefined;
  if (schema === undefined || !refers(schema)) return undefined;
  const reader = new Reader(policy, look);
  const lowered = mapReferences(schema, config, (kind, value, path) => reader.lower(kind, value, path));
  const { backends, values, broken } = reader;
  return { config: lowered, backends, values, broken };
}

/** The configuration with the keys of clusters in their places. */
export function withClusters(
  { config, backends }: FilterReferences,
  keyOf: (target: BackendTarget) => string,
): unknown {
  if (backends.length === 0) return config;
  const copy = structuredClone(config);
  for (const { path, target } of backends) {
    let at = copy as Record<string | number, unknown>;
    for (const token of path.slice(0, -1)) at = at[token] as typeof at;
    at[path.at(-1)!] = { cluster: keyOf(target) } satisfies LoweredBackend;
  }
  return copy;
}

class Reader {
  readonly backends: { readonly path: Path; readonly target: BackendTarget }[] = [];
  readonly values: NamedValue[] = [];
  readonly broken: { readonly path: Path; readonly why: Broken }[] = [];
  readonly #policy: Policy;
  readonly #look: Look;

  constructor(policy: Policy, look: Look) {
    this.#policy = policy;
    this.#look = look;
  }

  /** What stands in the place of a reference. */
  lower(kind: ReferenceKind, value: unknown, path: Path): unknown {
    const folder = folderOf(this.#policy);
    if (kind === 'file') return { file: resolve(folder, value as string) } satisfies LoweredFile;
    if (kind === 'module') return lowerModule(value as string, folder);
    return kind === 'secret'
      ? this.#secret(value as { readonly name: string; readonly key: string }, path)
      : this.#backend(value as NamedBackend, path);
  }

  #secret({ name, key }: { readonly name: string; readonly key: string }, path: Path): LoweredSecret {
    const { namespace } = this.#policy.metadata;
    const to = { group: '', kind: 'Secret', namespace, name };
    const secret = lookUp(this.#look, 'Secret', to);
    const value = secret?.data.get(key);
    const planKey = `Secret/${namespace}/${name}#${key}`;
    if (secret === undefined || value === undefined) {
      this.#break(path, secret === undefined ? missing(to) : missingKey(secret, key));
      return { secret: planKey, key, hash: '' };
    }
    this.values.push({ key: planKey, secret: planValue(secret, key, value) });
    return { secret: planKey, key, hash: changeMark(secret, key, value) };
  }

  #backend({ kind = 'Service', name, namespace, port }: NamedBackend, path: Path): LoweredBackend {
    const group = kind === 'Service' ? '' : OWN_GROUP;
    const to: Reference = { group, kind, name, namespace: namespace ?? this.#policy.metadata.namespace };
    const reference = port === undefined ? to : { ...to, port };
    const found = findBackend(this.#policy, reference, { look: this.#look });
    if (found.broken === undefined) this.backends.push({ path, target: found.target });
    else this.#break(path, found.broken);
    return { cluster: '' };
  }

  #break(path: Path, why: Broken): void {
    this.broken.push({ path, why });
  }
}

/** A filter of users that a policy names. */
export interface NamedProgram {
  /** JSON pointer into the policy. */
  readonly field: string;
  /** Of its module, as it is written. */
  readonly name: string;
  readonly spec: ProgramSpec;
}

/** As it is read: modules by their names. */
interface WrittenOwn {
  readonly use: readonly (Omit<OwnConfig['use'][number], 'module'> & { readonly module: string })[];
}

export function namedPrograms(policy: Policy): NamedProgram[] {
  const { use = [] } = (policy.spec.filters?.[own.name] ?? {}) as Partial<WrittenOwn>;
  return use.map(({ module, filter, guard, heapMegabytesMax }, i) => ({
    field: `/spec/filters/${own.name}/use/${i}/module`,
    name: module,
    spec: { module: lowerModule(module, folderOf(policy)), filter, guard, heapMegabytesMax },
  }));
}

/** A file that a filter of a policy names. */
export interface NamedFile {
  /** JSON pointer into the policy. */
  readonly field: string;
  /** As it is written. */
  readonly name: string;
  /** Absolute. */
  readonly file: string;
}

/** Files that stand beside the proxy: lists, keys, documents. */
export function namedFiles(policy: Policy): NamedFile[] {
  const folder = folderOf(policy);
  const files: NamedFile[] = [];
  for (const [filter, config] of Object.entries(policy.spec.filters ?? {})) {
    const schema = FILTERS_BY_NAME.get(filter)?.config as JsonSchema | undefined;
    mapReferences(schema ?? {}, config, (kind, value, path) => {
      const field = `/spec/filters/${filter}${pointerOf(path)}`;
      if (kind === 'file') files.push({ field, name: value as string, file: resolve(folder, value as string) });
      return value;
    });
  }
  return files;
}

function folderOf(policy: Policy): string {
  return dirname(policy.origin.file);
}

/** What begins with "./", "../" or "/" is a file, as for Node.js. */
function lowerModule(name: string, folder: string): LoweredModule {
  const from = resolve(folder);
  return { specifier: /^\.{0,2}\//.test(name) ? resolve(from, name) : name, from };
}

interface NamedBackend {
  readonly kind?: 'Service' | 'Backend';
  readonly name: string;
  readonly namespace?: string;
  readonly port?: number;
}

function missing(to: Reference): Broken {
  const message = `Secret "${to.name}" does not exist in namespace "${to.namespace}"`;
  return { reason: 'InvalidSecretRef', code: 'reference.missing', message, absent: to };
}

function missingKey(secret: Secret, key: string): Broken {
  const keys = secret.data.keys().join(', ');
  const message = `${describe(secret)} has no key "${key}"; its keys are ${keys === '' ? 'none' : keys}`;
  return { reason: 'InvalidSecretRef', code: 'reference.missing', message };
}

const planValues = new WeakMap<Secret, Map<string, PlanValue>>();
const changeMarks = new WeakMap<Secret, Map<string, string>>();

function planValue(secret: Secret, key: string, value: string): PlanValue {
  return remembered(planValues, { secret, key }, () => ({ value }));
}

/**
 * Changes with the value and stands in the plan, which is no secret: made slowly, so that a short password cannot be
 * guessed from it. Once per Secret.
 */
function changeMark(secret: Secret, key: string, value: string): string {
  return remembered(changeMarks, { secret, key }, () =>
    scryptSync(value, `fourways plan ${describe(secret)} ${key}`, 12, { N: 8_192 }).toString('hex'),
  );
}

function remembered<V>(
  map: WeakMap<Secret, Map<string, V>>,
  { secret, key }: { readonly secret: Secret; readonly key: string },
  make: () => V,
): V {
  let ofSecret = map.get(secret);
  if (ofSecret === undefined) map.set(secret, (ofSecret = new Map()));
  let value = ofSecret.get(key);
  if (value === undefined) ofSecret.set(key, (value = make()));
  return value;
}
