/** The rules of one effect, found by the path of a request. */
import type { Exchange } from '../../filter/filter.ts';
import type { Rule } from './config.ts';
import { PathIndex } from './path-index.ts';
import { climbs, looseForms } from './path-pattern.ts';
import { type CompiledRule, compileRule } from './rule.ts';

/** A rule that denies. A path counts in any reading of it, and a rule that cannot be decided counts, too. */
export class DenyingRules {
  readonly #anywhere: readonly CompiledRule[];
  readonly #byPath = new PathIndex<CompiledRule>();
  readonly #byLooseForm = new PathIndex<CompiledRule>();

  constructor(rules: readonly Rule[]) {
    this.#anywhere = compiled(rules, 'deny', (pattern, rule) => {
      this.#byPath.add(pattern, rule);
      this.#byLooseForm.add(looseForms(pattern)[0]!, rule);
    });
  }

  find(x: Exchange): CompiledRule | undefined {
    const applies = (rule: CompiledRule): boolean => rule.match(x) !== 'no';
    for (const rule of this.#anywhere) if (rule.match(x) !== 'no') return rule;
    if (this.#byPath.isEmpty) return undefined;
    const { path } = x.request;
    const forms = looseForms(path);
    for (const form of forms) {
      const found = this.#byLooseForm.find(form, applies);
      if (found !== undefined) return found;
    }
    // Where dot segments came to light, the loose forms are somewhere else.
    return forms.length === 1 && forms[0] === path ? undefined : this.#byPath.find(path, applies);
  }
}

/** Rules that allow. A path counts as it is forwarded. */
export class AllowingRules {
  readonly #anywhere: readonly CompiledRule[];
  readonly #byPath = new PathIndex<CompiledRule>();

  constructor(rules: readonly Rule[]) {
    this.#anywhere = compiled(rules, 'allow', (pattern, rule) => this.#byPath.add(pattern, rule));
  }

  find(x: Exchange): CompiledRule | undefined {
    for (const rule of this.#anywhere) if (rule.match(x) === 'yes') return rule;
    const { path } = x.request;
    if (this.#byPath.isEmpty || climbs(path)) return undefined;
    return this.#byPath.find(path, (rule) => rule.match(x) === 'yes');
  }
}

/** Compiles the rules of one effect. @returns those that take any path; the others go to `add`, by each pattern */
function compiled(
  rules: readonly Rule[],
  effect: Rule['effect'],
  add: (pattern: string, rule: CompiledRule) => void,
): CompiledRule[] {
  const anywhere: CompiledRule[] = [];
  for (const [i, rule] of rules.entries()) {
    if (rule.effect !== effect) continue;
    const one = compileRule(rule, i);
    if (rule.paths === undefined) anywhere.push(one);
    else for (const pattern of rule.paths) add(pattern, one);
  }
  return anywhere;
}
