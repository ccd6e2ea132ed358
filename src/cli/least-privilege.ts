/** The least that callers need: rules of `authorize` made of calls that were seen. Pure. */
import type { ObservedCall } from '../ir/observed.ts';
import type { Rule } from '../filters/authorize/config.ts';

/** Names in one place of the paths of one caller. Beyond: a star stands for all of them. */
const NAMES_MAX = 24;

/** Of one rule (filters/authorize/config.ts). */
const NAMES_OF_RULE_MAX = 256;
const RULES_MAX = 256;

/** Characters that a method and a path of a rule may have. */
const METHOD = /^[!#$%&'*+.^_`|~0-9A-Z-]{1,32}$/;
const PATH = /^\/[\x21\x24-\x3b\x3d\x40-\x5b\x5d\x5f\x61-\x7a\x7e]{0,1023}$/;

/** What becomes of a call in a proposal. */
export type Standing =
  /** It is one that the policy should allow. */
  | 'wanted'
  /** Its caller has shown no identity: it came in clear text. */
  | 'clear'
  /** Every one was refused already. */
  | 'refused'
  /** The application answered each that there is nothing, or nothing for this caller: 401, 403, 404 or 405. */
  | 'unwelcome'
  /** No rule can name its method or its path. */
  | 'unsayable';

export function standingOf({ source, protocol, method, path, calls, denied, unwelcome }: ObservedCall): Standing {
  if (source === '') return 'clear';
  if (denied >= calls) return 'refused';
  if (denied + unwelcome >= calls) return 'unwelcome';
  return protocol === 'tcp' || (METHOD.test(method) && PATH.test(path)) ? 'wanted' : 'unsayable';
}

export interface ProposedRules {
  readonly rules: readonly Rule[];
  /** Calls that the rules before did not allow. */
  readonly added: readonly ObservedCall[];
  /** Rules before that no call needs. */
  readonly unseen: readonly Rule[];
  /** Places where a star stands for names, because there were too many: `/users/`. */
  readonly widened: readonly string[];
  /** Rules for which there was no room. */
  readonly beyond: number;
}

export interface RulesWish {
  /** All that are wanted, of one port. */
  readonly calls: readonly ObservedCall[];
  /** What the policy says now. */
  readonly before: readonly Rule[];
  /** Of what is there and no call needs. */
  readonly unseen: 'keep' | 'drop';
}

/** Who may do what: one caller, one method, one path; without the last two below HTTP. */
interface Grant {
  readonly workload: string;
  readonly method: string | undefined;
  readonly path: string | undefined;
}

/** With nothing to add and nothing to drop, the rules are those of before, as they were written. */
export function proposeRules({ calls, before, unseen }: RulesWish): ProposedRules {
  const added = calls.filter((call) => !before.some((rule) => covers(rule, call)));
  const idle = before
    .filter(({ effect }) => effect !== 'deny')
    .filter((rule) => !calls.some((call) => covers(rule, call)));
  const dropped = unseen === 'drop' ? idle.filter(isOfOurs) : [];
  const none = { added, unseen: idle, widened: [], beyond: 0 };
  if (added.length === 0 && dropped.length === 0) return { ...none, rules: before };
  const kept = before.filter((rule) => !isOfOurs(rule));
  const given = before.filter(isOfOurs).flatMap(grantsOf);
  const needed = unseen === 'drop' ? given.filter((grant) => calls.some((call) => covers(ruleOf(grant), call))) : given;
  const widened = new Set<string>();
  const grants = generalised([...needed, ...added.map(grantOf)], widened);
  const rules = [...kept, ...rulesOf(grants)];
  return {
    ...none,
    rules: rules.slice(0, RULES_MAX),
    widened: [...widened].toSorted(),
    beyond: Math.max(0, rules.length - RULES_MAX),
  };
}

const OURS: ReadonlySet<string> = new Set(['effect', 'workloads', 'methods', 'paths']);

/** Whether a rule is one such as are written here: everything else is somebody's own and stays. */
function isOfOurs(rule: Rule): boolean {
  const fields = Object.entries(rule).filter(([, value]) => value !== undefined);
  const isWhole = (rule.methods === undefined) === (rule.paths === undefined) && rule.workloads !== undefined;
  return rule.effect !== 'deny' && isWhole && fields.every(([name]) => OURS.has(name));
}

/** Whether a rule speaks of such a call; what else it asks for was met, or the call would not have come through. */
function covers(
  { effect, workloads, methods, paths }: Rule,
  { source, protocol, method, path }: ObservedCall,
): boolean {
  if (effect === 'deny') return false;
  if (workloads !== undefined && !workloads.some((one) => isNamed(one, source))) return false;
  if (protocol === 'tcp') return methods === undefined && paths === undefined;
  if (methods !== undefined && !methods.includes(method)) return false;
  return paths === undefined || paths.some((one) => takes(one, path));
}

function isNamed(name: string, source: string): boolean {
  return name.endsWith('*') ? source.startsWith(name.slice(0, -1)) : name === source;
}

/** Whether a path of a rule takes all that a template stands for. */
function takes(pattern: string, template: string): boolean {
  if (pattern === template) return true;
  const wanted = template.split('/');
  const parts = pattern.split('/');
  const isOpen = parts.at(-1) === '**';
  if (isOpen) parts.pop();
  else if (parts.length !== wanted.length || wanted.at(-1) === '**') return false;
  return parts.every((part, i) => {
    const want = wanted[i];
    if (want === undefined || part === '**' || want === '**') return false;
    if (part === want || part === '*') return true;
    return part.includes('*') && !want.includes('*') && wildcard(part).test(want);
  });
}

function wildcard(part: string): RegExp {
  const texts = part.split('*').map((text) => text.replaceAll(/[\\^$.|?+()[\]{}]/g, String.raw`\$&`));
  return new RegExp(`^${texts.join('[^/]*')}$`);
}

function grantOf({ source, protocol, method, path }: ObservedCall): Grant {
  if (protocol === 'tcp') return { workload: source, method: undefined, path: undefined };
  return { workload: source, method, path };
}

function grantsOf({ workloads = [], methods, paths }: Rule): Grant[] {
  if (methods === undefined || paths === undefined) {
    return workloads.map((workload) => ({ workload, method: undefined, path: undefined }));
  }
  return workloads.flatMap((workload) =>
    methods.flatMap((method) => paths.map((path): Grant => ({ workload, method, path }))),
  );
}

function ruleOf({ workload, method, path }: Grant): Rule {
  if (method === undefined || path === undefined) return { effect: 'allow', workloads: [workload] };
  return { effect: 'allow', workloads: [workload], methods: [method], paths: [path] };
}

/** Paths of one caller and method with a star where there are too many names. */
function generalised(grants: readonly Grant[], widened: Set<string>): Grant[] {
  const ofOne = Map.groupBy(grants, ({ workload, method }) => `${workload} ${method ?? ''}`);
  return [...ofOne.values()].flatMap((own) => {
    const { workload, method } = own[0]!;
    if (method === undefined) return [own[0]!];
    const paths = own.map(({ path }) => path!.split('/').slice(1));
    return below(paths, { at: '/', widened }).map((path): Grant => ({ workload, method, path: `/${path.join('/')}` }));
  });
}

interface Place {
  readonly at: string;
  readonly widened: Set<string>;
}

function below(paths: readonly (readonly string[])[], { at, widened }: Place): string[][] {
  const byName = Map.groupBy(
    paths.filter((path) => path.length > 0),
    ([name]) => name!,
  );
  const end: string[][] = paths.some((path) => path.length === 0) ? [[]] : [];
  const isMany = byName.size > NAMES_MAX;
  if (isMany) widened.add(at);
  const groups: [string, readonly (readonly string[])[]][] = isMany
    ? [['*', paths.filter(({ length }) => length > 0)]]
    : [...byName];
  return [
    ...end,
    ...groups.flatMap(([name, own]) =>
      below(
        own.map((path) => path.slice(1)),
        { at: `${at}${name}/`, widened },
      ).map((rest) => [name, ...rest]),
    ),
  ];
}

/** What callers and methods have in common is said once. */
function rulesOf(grants: readonly Grant[]): Rule[] {
  const paths = new Map<string, { workload: string; method: string | undefined; paths: Set<string> }>();
  for (const { workload, method, path } of grants) {
    const key = `${workload} ${method ?? ''}`;
    const own = paths.get(key) ?? { workload, method, paths: new Set<string>() };
    if (path !== undefined) own.paths.add(path);
    paths.set(key, own);
  }
  const methods = merged([...paths.values()], {
    key: (one) => [one.workload, one.method === undefined, ...sorted(one.paths)].join(' '),
    of: (one) => one.method,
  });
  const workloads = merged(
    methods.map(([one, of]) => ({ workload: one.workload, methods: of, paths: sorted(one.paths) })),
    { key: (one) => JSON.stringify([one.methods, one.paths]), of: (one) => one.workload },
  );
  return workloads
    .flatMap(([one, of]): Rule[] =>
      chunks(of).flatMap((some): Rule[] => {
        const allowed = { effect: 'allow', workloads: some } as const;
        if (one.methods.length === 0) return [allowed];
        return chunks(one.paths).map((paths) => ({ ...allowed, methods: one.methods, paths }));
      }),
    )
    .toSorted((a, b) => compare(orderOf(a), orderOf(b)));
}

/** Those of one key, with what tells them apart as a list. */
function merged<T>(
  all: readonly T[],
  { key, of }: { readonly key: (one: T) => string; readonly of: (one: T) => string | undefined },
): [T, string[]][] {
  return [...Map.groupBy(all, key).values()].map((alike) => [
    alike[0]!,
    sorted(new Set(alike.flatMap((one) => of(one) ?? []))),
  ]);
}

/** As many as one rule may name. */
function chunks(names: readonly string[]): string[][] {
  return Array.from({ length: Math.ceil(names.length / NAMES_OF_RULE_MAX) }, (_, i) =>
    names.slice(i * NAMES_OF_RULE_MAX, (i + 1) * NAMES_OF_RULE_MAX),
  );
}

function orderOf({ workloads = [], methods = [], paths = [] }: Rule): string {
  return [workloads[0], paths[0], methods[0]].join(' ');
}

function sorted(texts: Iterable<string>): string[] {
  return [...texts].toSorted(compare);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
