/** One manifest: a value that was parsed becomes a resource, or problems. */
import type { Problem } from '../base/problem.ts';
import { ISSUES_MAX } from '../schema/compile.ts';
import { suggestion } from '../schema/describe.ts';
import { check } from '../schema/schema.ts';
import { GATEWAY_GROUP, OWN_GROUP } from './fields.ts';
import { apiVersionOf, type Finding, type Kind } from './kind.ts';
import { KINDS } from './kinds/list.ts';
import type { Metadata } from './metadata.ts';
import { describeKey, type Origin, type Resource, type ResourceMeta, resourceKey } from './resource.ts';

/** What became of one manifest. */
export interface Interpreted {
  /** Key of the resource, also of one that could not be made, where it can be told. */
  readonly key?: string;
  readonly resource?: Resource;
  /** `Deployment (apps/v1)`: of no use here, and no mistake. */
  readonly ignored?: string;
  /** What counts where no version without mistakes is known, because serving without it would be dangerous. */
  readonly standIn?: Resource;
  readonly problems: readonly Problem[];
}

const BY_KIND = Map.groupBy(KINDS, ({ kind }) => kind);

/** Groups of which every kind is known here or a mistake. */
const CLOSED_GROUPS: readonly string[] = [GATEWAY_GROUP, OWN_GROUP];

type Fields = Readonly<Record<string, unknown>>;

export function interpret(value: unknown, origin: Origin): Interpreted {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    const got = value === null ? 'nothing' : Array.isArray(value) ? 'a list' : `a ${typeof value}`;
    return refused('manifest.type', `Expected an object with apiVersion, kind and metadata, got ${got}`, { origin });
  }
  const manifest = value as Fields;
  // It stands beside manifests because a filter names it, and is none.
  if (isOpenApi(manifest)) return { ignored: 'OpenAPI document', problems: [] };
  if (isKeySet(manifest)) return { ignored: 'JSON Web Key Set', problems: [] };
  const key = keyOfManifest(manifest);
  const known = kindOf(manifest, key === undefined ? { origin } : { origin, key });
  if (!('schema' in known)) return known;
  return make(known, manifest, { origin, ...(key !== undefined && { key }) });
}

function isOpenApi({ kind, apiVersion, openapi, info }: Fields): boolean {
  return kind === undefined && apiVersion === undefined && typeof openapi === 'string' && typeof info === 'object';
}

/** RFC 7517 section 5. */
function isKeySet({ kind, apiVersion, keys }: Fields): boolean {
  if (kind !== undefined || apiVersion !== undefined || !Array.isArray(keys) || keys.length === 0) return false;
  return keys.every((key: unknown) => typeof (key as Fields | null)?.['kty'] === 'string');
}

/** Key by what the manifest says of itself, whether or not it is right. */
function keyOfManifest({ kind, metadata }: Fields): string | undefined {
  if (typeof kind !== 'string' || metadata === null || typeof metadata !== 'object') return undefined;
  const { name, namespace } = metadata as Fields;
  if (typeof name !== 'string') return undefined;
  const scope = BY_KIND.get(kind)?.[0]?.scope ?? 'namespace';
  return resourceKey(kind, scope === 'cluster' ? '' : typeof namespace === 'string' ? namespace : 'default', name);
}

interface Owner {
  readonly origin: Origin;
  readonly key?: string;
}

function refused(code: string, message: string, { origin, key, field = '' }: Owner & { field?: string }): Interpreted {
  const owner = key === undefined ? {} : { resource: describeKey(key) };
  const problem: Problem = { level: 'error', code, ...owner, at: origin.locate(field), field, message };
  return { ...(key !== undefined && { key }), problems: [problem] };
}

/** The kind of a manifest, or why it has none that is served. */
function kindOf(manifest: Fields, owner: Owner): Kind | Interpreted {
  const { kind, apiVersion } = manifest;
  if (typeof kind !== 'string' || kind === '') {
    return refused('manifest.kind', 'Missing field "kind": expected a kind such as "HTTPRoute"', {
      ...owner,
      field: '/kind',
    });
  }
  if (typeof apiVersion !== 'string' || apiVersion === '') {
    const candidates = (BY_KIND.get(kind) ?? []).map((one) => `"${apiVersionOf(one)}"`);
    const wanted = candidates.length === 0 ? `one such as "${GATEWAY_GROUP}/v1"` : candidates.join(' or ');
    const message = `Missing field "apiVersion": expected ${wanted}`;
    return refused('manifest.api-version', message, { ...owner, field: '/apiVersion' });
  }
  const slash = apiVersion.indexOf('/');
  const group = slash === -1 ? '' : apiVersion.slice(0, slash);
  const namesakes = BY_KIND.get(kind) ?? [];
  const known = namesakes.find((one) => one.group === group);
  if (known === undefined) return strangerOf({ kind, group, apiVersion, namesakes }, owner);
  if (known.versions.includes(apiVersion.slice(slash + 1))) return known;
  const versions = known.versions.map((version) => `"${apiVersionOf({ group, versions: [version] })}"`).join(' or ');
  const message = `Expected apiVersion ${versions} for ${kind}, got "${apiVersion}"`;
  return refused('manifest.api-version', message, { ...owner, field: '/apiVersion' });
}

interface Stranger {
  readonly kind: string;
  readonly group: string;
  readonly apiVersion: string;
  readonly namesakes: readonly Kind[];
}

/** A kind that is not ours: a misspelt one of ours, or one that others read. */
function strangerOf({ kind, group, apiVersion, namesakes }: Stranger, owner: Owner): Interpreted {
  if (CLOSED_GROUPS.includes(group)) {
    const names = KINDS.filter((one) => one.group === group).map((one) => one.kind);
    const near = suggestion(kind, names);
    const hint = near === undefined ? `expected one of ${names.join(', ')}` : `did you mean "${near}"`;
    const message = `Unknown kind "${kind}" of group ${group}: ${hint}`;
    return refused('manifest.kind', message, { ...owner, field: '/kind' });
  }
  // Other groups have kinds of the same name; only a group that looks like a slip is a mistake.
  const meant = namesakes.find(
    (one) => group === '' || (one.group !== '' && suggestion(group, [one.group]) !== undefined),
  );
  if (meant !== undefined) {
    const message = `Expected apiVersion "${apiVersionOf(meant)}" for ${kind}, got "${apiVersion}"`;
    return refused('manifest.api-version', message, { ...owner, field: '/apiVersion' });
  }
  return { ignored: `${kind} (${apiVersion})`, problems: [] };
}

function make(kind: Kind, manifest: Fields, owner: Owner): Interpreted {
  const { value, issues } = check(kind.schema, manifest);
  if (value === undefined)
    return withKey(owner, { ...standInOf(kind, manifest, owner), problems: problemsOf(issues, 'error', owner) });
  const { apiVersion, metadata } = value as { apiVersion: string; metadata: Metadata };
  const { name, labels, annotations, generation, creationTimestamp, uid } = metadata;
  const creationMs = creationTimestamp === undefined ? undefined : Date.parse(creationTimestamp);
  const findings = [...kind.rules(value), ...timeRule(creationTimestamp, creationMs)];
  if (findings.length > 0)
    return withKey(owner, { ...standInOf(kind, manifest, owner), problems: problemsOf(findings, 'error', owner) });

  const isCluster = kind.scope === 'cluster';
  const meta: ResourceMeta = {
    name,
    namespace: isCluster ? '' : (metadata.namespace ?? 'default'),
    labels,
    annotations,
    generation,
    creationMs,
    ...(uid !== undefined && { uid }),
  };
  const { origin } = owner;
  const resource = { apiVersion, kind: kind.kind, metadata: meta, origin, ...kind.make(value) } as Resource;
  const vain = isCluster && metadata.namespace !== undefined ? [vainNamespace(kind.kind, metadata.namespace)] : [];
  return withKey(owner, { resource, problems: problemsOf(vain, 'warning', owner) });
}

function standInOf(kind: Kind, manifest: Fields, { origin, key }: Owner): Pick<Interpreted, 'standIn'> {
  const fields = key === undefined ? undefined : kind.standIn?.(manifest);
  if (key === undefined || fields === undefined) return {};
  const [, namespace = '', name = ''] = key.split('/');
  const metadata: ResourceMeta = { name, namespace, labels: {}, annotations: {}, generation: 0, creationMs: undefined };
  const { apiVersion } = manifest as { apiVersion: string };
  return { standIn: { apiVersion, kind: kind.kind, metadata, origin, ...fields } as Resource };
}

/** The pattern of the field cannot tell that there is no month 13. */
function timeRule(text: string | undefined, ms: number | undefined): Finding[] {
  if (!Number.isNaN(ms)) return [];
  const message = `Expected a time such as "2026-11-01T12:00:00Z", got ${JSON.stringify(text)}`;
  return [{ pointer: '/metadata/creationTimestamp', code: 'field.value', message }];
}

function vainNamespace(kind: string, namespace: string): Finding {
  const message = `Namespace "${namespace}" has no effect: ${kind} is not in a namespace`;
  return { pointer: '/metadata/namespace', code: 'field.no-effect', message };
}

/** Problems in the order of the text. */
function problemsOf(findings: readonly Finding[], level: Problem['level'], { origin, key }: Owner): Problem[] {
  if (findings.length === 0) return [];
  const said = findings.slice(0, ISSUES_MAX);
  const pointers = said.map(({ pointer }) => pointer);
  const places = origin.locateEach?.(pointers) ?? pointers.map((pointer) => origin.locate(pointer));
  const resource = key === undefined ? {} : { resource: describeKey(key) };
  const problems = said.map(({ code, pointer, message }, i) => ({
    level,
    code,
    ...resource,
    at: places[i]!,
    field: pointer,
    message,
  }));
  return problems.toSorted((a, b) => a.at.line - b.at.line || a.at.column - b.at.column);
}

function withKey({ key }: Owner, found: Interpreted): Interpreted {
  return key === undefined ? found : { key, ...found };
}
