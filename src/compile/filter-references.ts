/** What the configuration of a filter refers to (filter/references.ts), looked up. */
import { scryptSync } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { FILTERS_BY_NAME } from '../filters/list.ts';
import type { LoweredBackend, LoweredFile, LoweredSecret } from '../filter/env.ts';
import type { LoweredModule } from '../filter/own-program.ts';
import type { PlanValue } from '../ir/plan.ts';
import { OWN_GROUP } from '../resource/fields.ts';
import { describe, type Policy, type Secret } from '../resource/resource.ts';
import type { JsonSchema } from '../schema/json-schema.ts';
import { type BackendTarget, findBackend } from './backend.ts';
import type { Broken, Reference } from './reference.ts';
import { type Look, lookUp } from './tables.ts';

export interface NamedValue {
  readonly key: string;
  readonly secret: PlanValue;
}

/** A place in a configuration. */
type Path = readonly (string | number)[];

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
  const lowered = reader.walk(schema, config, []);
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

const referring = new WeakMap<JsonSchema, boolean>();

function refers(schema: JsonSchema): boolean {
  let known = referring.get(schema);
  if (known === undefined) {
    known = schema.refersTo !== undefined || partsOf(schema).some(refers);
    referring.set(schema, known);
  }
  return known;
}

function partsOf({
  properties = {},
  patternProperties = {},
  additionalProperties,
  items,
  anyOf = [],
}: JsonSchema): JsonSchema[] {
  const others = typeof additionalProperties === 'object' ? [additionalProperties] : [];
  return [
    ...Object.values(properties),
    ...Object.values(patternProperties),
    ...others,
    ...(items ? [items] : []),
    ...anyOf,
  ];
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

  walk(schema: JsonSchema, value: unknown, path: Path): unknown {
    if (value === undefined || value === null || !refers(schema)) return value;
    if (schema.refersTo !== undefined) return this.#resolve(schema.refersTo, value, path);
    if (Array.isArray(value)) return value.map((item, i) => this.walk(schema.items ?? {}, item, [...path, i]));
    if (typeof value !== 'object') return value;
    const fields = Object.entries(value as object).map(([name, inner]) => [
      name,
      this.#walkField(schema, [name, inner], path),
    ]);
    return Object.fromEntries(fields) as unknown;
  }

  /** Of alternatives, the one that has the field counts: alternatives that refer differ in their fields. */
  #walkField(schema: JsonSchema, [name, inner]: readonly [string, unknown], path: Path): unknown {
    const below = [...path, name];
    const own = schema.properties?.[name];
    if (own !== undefined) return this.walk(own, inner, below);
    for (const branch of schema.anyOf ?? []) {
      const found = branch.properties?.[name];
      if (found !== undefined && refers(found)) return this.walk(found, inner, below);
    }
    const [pattern] = Object.values(schema.patternProperties ?? {});
    const other = pattern ?? schema.additionalProperties;
    return typeof other === 'object' ? this.walk(other, inner, below) : inner;
  }

  #resolve(kind: NonNullable<JsonSchema['refersTo']>, value: unknown, path: Path): unknown {
    const folder = dirname(this.#policy.origin.file);
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
