import { Fault } from '../../base/fault.ts';
import type { FilterCode } from '../../filter/filter.ts';
import { type AuthorizeConfig, authorizeFaults, defaultOf } from './config.ts';
import { AllowingRules, DenyingRules } from './rule-set.ts';

/** Refuses what a rule denies, then what none allows. What cannot be decided is refused. */
export const code: FilterCode<typeof AuthorizeConfig> = {
  make(config, env) {
    const denying = new DenyingRules(config.rules);
    const allowing = new AllowingRules(config.rules);
    const isOpen = defaultOf(config) === 'allow';
    const kind = authorizeFaults['authorize.denied'];

    return {
      onRequest(x) {
        const rule = denying.find(x);
        if (rule !== undefined) {
          const isSure = rule.match(x) === 'yes';
          env.count(isSure ? 'denied' : 'undecided');
          x.note('authorize', `${isSure ? 'deny' : 'undecided'} ${rule.name}`);
          const why = isSure ? 'denies it' : 'denies, and its expression has no value';
          return new Fault(
            kind,
            `Rule "${rule.name}" ${why}`,
            config.reveal ? { members: { rule: rule.name } } : undefined,
          );
        }
        if (isOpen || allowing.find(x) !== undefined) return undefined;
        env.count('not_allowed');
        x.note('authorize', 'no rule');
        return new Fault(kind, `No rule allows it${x.identity === undefined ? ', and nobody is authenticated' : ''}`);
      },
    };
  },
};
