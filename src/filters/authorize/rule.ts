/** What a rule asks of a request besides its path, as functions: the cheapest first, so that most end at their first. */
import { compileExpression } from '../../expr/expression.ts';
import type { Exchange } from '../../filter/filter.ts';
import { workloadOf } from '../../http/client-identity.ts';
import { type Rule, ruleName } from './config.ts';

/** `undecided`: all that is sure is so, and the expression has no value. */
export type Match = 'yes' | 'no' | 'undecided';

export interface CompiledRule {
  readonly name: string;
  match(x: Exchange): Match;
}

type Test = (x: Exchange) => boolean;

export function compileRule(rule: Rule, index: number): CompiledRule {
  const test = allOf(structuralTests(rule));
  const when = rule.when === undefined ? undefined : compileExpression(rule.when, 'bool');
  return {
    name: ruleName(rule, index),
    match(x) {
      if (!test(x)) return 'no';
      if (when === undefined) return 'yes';
      const value = when(x);
      if (value === undefined) return 'undecided';
      return value ? 'yes' : 'no';
    },
  };
}

function allOf(tests: readonly Test[]): Test {
  const [first, second] = tests;
  if (first === undefined) return () => true;
  if (second === undefined) return first;
  const rest = allOf(tests.slice(1));
  return (x) => first(x) && rest(x);
}

function structuralTests(rule: Rule): Test[] {
  const { effect, methods, hosts, subjects, consumers, groups, workloads, scopes, claims } = rule;
  const tests: Test[] = [];
  if (methods !== undefined) tests.push(methodTest(methods, effect));
  if (hosts !== undefined) tests.push(hostTest(hosts));
  if (subjects !== undefined) tests.push(textTest(subjects, (x) => x.identity?.subject));
  if (workloads !== undefined) tests.push(textTest(workloads, workloadOfCaller));
  if (consumers !== undefined) tests.push(textTest(consumers, (x) => x.identity?.consumer?.name));
  if (groups !== undefined) tests.push(groupTest(groups));
  if (scopes !== undefined) {
    tests.push(({ identity }) => identity !== undefined && scopes.every((scope) => identity.scopes.includes(scope)));
  }
  for (const [claim, values] of Object.entries(claims ?? {})) tests.push(claimTest(claim, values));
  return tests;
}

/** As a filter of phase `authenticate` has it, or as the verified certificate of the connection says. */
function workloadOfCaller({ identity, client }: Exchange): string | undefined {
  return identity?.workload ?? workloadOf(client.clientCertificate)?.id;
}

/** What is in capitals already. */
const COMMON: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** Some servers take `delete` for DELETE, so a rule that denies does, too. */
function methodTest(methods: readonly string[], effect: Rule['effect']): Test {
  const set = new Set(methods);
  if (effect === 'allow') return (x) => set.has(x.request.method);
  return ({ request: { method } }) => set.has(method) || (!COMMON.has(method) && set.has(method.toUpperCase()));
}

function hostTest(hosts: readonly string[]): Test {
  const exact = new Set(hosts);
  const suffixes = hosts.filter((host) => host.startsWith('*.')).map((host) => host.slice(1));
  return ({ request: { host } }) =>
    exact.has(host) || suffixes.some((suffix) => host.length > suffix.length && host.endsWith(suffix));
}

/** One of some texts; `*` at the end of one stands for any rest, alone for any at all. */
function oneOf(texts: readonly string[]): (text: string) => boolean {
  const exact = new Set(texts.filter((text) => !text.endsWith('*')));
  const prefixes = texts.filter((text) => text.endsWith('*')).map((text) => text.slice(0, -1));
  if (prefixes.length === 0) return (text) => exact.has(text);
  return (text) => exact.has(text) || prefixes.some((prefix) => text.startsWith(prefix));
}

function textTest(texts: readonly string[], textOf: (x: Exchange) => string | undefined): Test {
  const isOne = oneOf(texts);
  return (x) => {
    const text = textOf(x);
    return text !== undefined && isOne(text);
  };
}

function groupTest(groups: readonly string[]): Test {
  const isOne = oneOf(groups);
  return ({ identity }) => identity?.consumer?.groups.some(isOne) ?? false;
}

function claimTest(claim: string, values: readonly (string | number | boolean)[]): Test {
  const set = new Set<unknown>(values);
  return ({ identity }) => {
    if (identity === undefined || !Object.hasOwn(identity.claims, claim)) return false;
    const value = identity.claims[claim];
    return Array.isArray(value) ? value.some((item) => set.has(item)) : set.has(value);
  };
}
