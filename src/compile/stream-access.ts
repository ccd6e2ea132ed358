/** Who may connect where nothing is read of what passes. */
import { type AuthorizeConfig, defaultOf, ruleName } from '../filters/authorize/config.ts';
import type { PlanStreamAccess } from '../ir/plan.ts';
import type { AskedFilter } from './policies.ts';

/**
 * What `authorize` comes to where nothing is read of what passes: a rule that asks for more than who connects is not met
 * there. One that cannot be obeyed lets nobody in.
 */
export function accessOf(filters: readonly AskedFilter[]): readonly PlanStreamAccess[] {
  return filters.flatMap(({ filter, config, owner, policy, mode, references }): PlanStreamAccess[] => {
    if (filter !== 'authorize') return [];
    if ((references?.broken.length ?? 0) > 0) return [{ owner, rules: [], default: 'deny' }];
    const said = config as AuthorizeConfig;
    const rules = said.rules.flatMap((rule, i) => {
      const { name: _, effect, workloads, ...more } = rule;
      return Object.keys(more).length > 0 ? [] : [{ name: ruleName(rule, i), effect, ...(workloads && { workloads }) }];
    });
    const isAudited = (mode ?? policy?.spec.mode) === 'audit';
    return [{ owner, ...(isAudited && { audit: true as const }), rules, default: defaultOf(said) }];
  });
}
