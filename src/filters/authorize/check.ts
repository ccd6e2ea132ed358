import type { PathPolicy } from '../../base/path-policy.ts';
import { checkExpression } from '../../expr/expression.ts';
import type { ConfigIssue } from '../../filter/declaration.ts';
import { normalisePath } from '../../http/path.ts';
import { type AuthorizeConfig, defaultOf, type Rule, ruleName } from './config.ts';
import { patternIssue } from './path-pattern.ts';

export function check(config: AuthorizeConfig): ConfigIssue[] {
  const { rules, default: stated } = config;
  if (rules.length === 0 && stated === undefined) {
    return [{ pointer: '', message: 'Filter without effect: set rules or default' }];
  }
  const names = new Map<string, number>();
  return rules.flatMap((rule, i) => {
    const issues = ruleIssues(rule).map(({ pointer, message }) => ({ pointer: `/rules/${i}${pointer}`, message }));
    const other = names.get(ruleName(rule, i));
    if (other !== undefined) {
      issues.push({ pointer: `/rules/${i}/name`, message: `Name is that of rule ${other + 1}: expected another one` });
    }
    names.set(ruleName(rule, i), i);
    if (rule.effect === defaultOf(config) && rule.effect === 'allow') {
      issues.push({ pointer: `/rules/${i}`, message: 'Rule without effect: default allows what no rule matches' });
    }
    return issues;
  });
}

function ruleIssues(rule: Rule): ConfigIssue[] {
  const { effect, when, paths = [] } = rule;
  if (Object.keys(rule).every((key) => key === 'name' || key === 'effect')) {
    const message = `Rule without a condition: it would ${effect} everything, which "default: ${effect}" says`;
    return [{ pointer: '', message }];
  }
  const problem = when === undefined ? undefined : checkExpression(when, 'bool');
  return [
    ...(problem === undefined ? [] : [{ pointer: '/when', message: problem }]),
    ...paths.flatMap((path, i) => {
      const message = spellingIssue(path) ?? patternIssue(path);
      return message === undefined ? [] : [{ pointer: `/paths/${i}`, message }];
    }),
  ];
}

/** Requests come in normal form, so another spelling would never be met. */
const NORMAL: PathPolicy = {
  dotSegments: 'resolve',
  encodedSlash: 'keep',
  emptySegments: 'keep',
  backslash: 'refuse',
  parameters: 'keep',
  invalidUtf8: 'refuse',
};

function spellingIssue(path: string): string | undefined {
  const normal = normalisePath(path, NORMAL);
  if (typeof normal !== 'string') return `${normal.refused}: requests with it are refused`;
  return normal === path ? undefined : `Expected the path in normal form, "${normal}", got "${path}"`;
}
