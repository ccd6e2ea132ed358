/** What the policies on a route come to, with what was overridden: for people who ask who said what. */
import type { Position } from '../base/problem.ts';
import type { HeldBodies } from '../filter/declaration.ts';
import { FILTERS_BY_NAME } from '../filters/list.ts';
import { keyOf } from '../resource/resource.ts';
import type { Attachment } from './attach.ts';
import { backendTargetKeys } from './backend.ts';
import { placeOf } from './finding.ts';
import { type AskedFilter, type AskedSetting, composeFilters, type Level } from './policies.ts';
import type { RouteResult } from './route.ts';
import { readRule, type ReadRule, ruleWork, type RuleWork } from './rule.ts';
import { type Look, targetKey } from './tables.ts';

/** One thing that somebody asked for. */
export interface PolicyLine {
  /** Name of a filter, or path of a setting: `limits.headersMax`. */
  readonly name: string;
  readonly value: unknown;
  /** `Policy shop/limits`, or the route itself. */
  readonly owner: string;
  /** What it is attached to: `Gateway/shop/edge`, `HTTPRoute/shop/web#rule`. */
  readonly target: string;
  readonly at: Position;
  readonly mode: 'enforce' | 'audit';
  /** Who counts instead; absent for what acts. */
  readonly overriddenBy?: string;
  /** Why it cannot run: the rule answers 500. */
  readonly broken?: string;
}

export interface RulePolicies {
  /** `HTTPRoute/shop/web/0`. */
  readonly rule: string;
  /** Key of the listener by which requests come. */
  readonly listener: string;
  /** Of the rule, then of its backends; each in running order, what is overridden behind what counts. */
  readonly filters: readonly PolicyLine[];
  readonly settings: readonly PolicyLine[];
}

interface NamedLevel {
  readonly target: string;
  readonly filters: readonly AskedFilter[];
  readonly settings: readonly AskedSetting[];
}

export function policiesOf({ route, attached }: RouteResult, look: Look): RulePolicies[] {
  const work = ruleWork(route, look);
  const attachments = attached.outcomes.flatMap((outcome) => outcome.attachments);
  return route.spec.rules.flatMap((rule, index) => {
    const read = readRule(rule, index, work);
    const { namespace, name } = route.metadata;
    const own: NamedLevel = {
      target: keyOf(route),
      filters: read.filters.flat().filter(({ policy }) => policy === undefined),
      settings: [],
    };
    const ofRoute = [
      levelAt(targetKey(route.kind, namespace, { name }), look),
      ...(rule.name === undefined
        ? []
        : [levelAt(targetKey(route.kind, namespace, { name, sectionName: rule.name }), look)]),
      own,
    ];
    const ofBackends = backendLines(read, work);
    return attachments.map((attachment) => {
      const levels = [...listenerLevels(attachment, look), ...ofRoute];
      return {
        rule: read.name,
        listener: `${attachment.parent.key}/${attachment.listener.name}`,
        filters: [...filterLines(levels, work), ...ofBackends],
        settings: settingLines(levels),
      };
    });
  });
}

function listenerLevels({ parent, listener }: Attachment, look: Look): NamedLevel[] {
  // Policies on a Service act at its own sidecars, whichever route led there.
  if (parent.isService) return [];
  const keys = [...new Set([parent.gatewayKey, parent.key])];
  return [...keys, `${parent.key}#${listener.name}`].map((key) => levelAt(key, look));
}

/** What is asked of requests that were dealt to a backend: said once, however often the rule names it. */
function backendLines({ backends }: ReadRule, work: RuleWork): PolicyLine[] {
  const lines = backends.flatMap(({ target, filters }) => {
    if (target.kind === 'invalid') return [];
    const keys = backendTargetKeys(target.target);
    const levels = keys.map((key) => levelAt(key, work.look)).toReversed();
    return filterLines([...levels, { target: keys[0]!, filters, settings: [] }], work);
  });
  return [...new Map(lines.map((line) => [JSON.stringify(line), line])).values()];
}

function levelAt(key: string, look: Look): NamedLevel {
  const level: Level | undefined = look('levels', key);
  return { target: key, filters: level?.filters ?? [], settings: level?.settings ?? [] };
}

function filterLines(levels: readonly NamedLevel[], { route }: RuleWork): PolicyLine[] {
  const acting = composeFilters(levels.map(({ filters }) => filters));
  const targets = new Map(levels.flatMap(({ target, filters }) => filters.map((asked) => [asked, target] as const)));
  const all = [...targets.keys()];
  const line = (asked: AskedFilter): PolicyLine => {
    const { filter, config, owner, policy, field, references } = asked;
    const winner = acting.includes(asked) ? undefined : acting.findLast((other) => other.filter === filter);
    const broken = references?.broken[0]?.why.message;
    return {
      name: filter,
      value: config,
      owner,
      target: targets.get(asked)!,
      at: placeOf(policy ?? route, field),
      mode: policy?.spec.mode ?? 'enforce',
      ...(winner !== undefined && { overriddenBy: winner.owner }),
      ...(broken !== undefined && { broken }),
    };
  };
  const lost = all.filter((asked) => !acting.includes(asked));
  return [...acting, ...lost].map(line);
}

function settingLines(levels: readonly NamedLevel[]): PolicyLine[] {
  const winners = new Map<string, AskedSetting>();
  for (const { settings } of levels) for (const setting of settings) winners.set(setting.path, setting);
  return levels.flatMap(({ target, settings }) =>
    settings.map((setting): PolicyLine => {
      const { path, value, policy } = setting;
      const winner = winners.get(path)!;
      const isOwn = /^(?:grpc|tunnel)\//.test(path);
      return {
        name: path.replaceAll('/', '.'),
        value,
        owner: ownerOf(setting),
        target,
        at: placeOf(policy, `/spec/${isOwn ? '' : 'listener/'}${path}`),
        mode: 'enforce',
        ...(winner !== setting && { overriddenBy: ownerOf(winner) }),
      };
    }),
  );
}

function ownerOf({ policy: { metadata } }: AskedSetting): string {
  return `Policy ${metadata.namespace}/${metadata.name}`;
}

/** What a filter of the plan will do, in the words of its declaration. */
export function explainFilter(filter: string, config: unknown): readonly string[] {
  return FILTERS_BY_NAME.get(filter)?.explain(config as never) ?? [];
}

/** Which bodies a filter of the plan holds back whole. */
export function heldBodies(filter: string, config: unknown): HeldBodies {
  return { ...NOTHING_HELD, ...FILTERS_BY_NAME.get(filter)?.buffers(config as never) };
}

const NOTHING_HELD: HeldBodies = { request: false, response: false, certain: true };
