/** What the admin API of a proxy shows whose plan comes from elsewhere. */
import type { About, AdminView } from '../api/admin/view.ts';
import { systemClock } from '../base/clock.ts';
import { ownVersion } from '../cli/version.ts';
import type { Fleet } from '../control/fleet.ts';
import type { AskedProxy } from '../control/survey.ts';
import type { OwnPlans } from '../sidecar/own-plans.ts';
import { onlyAskable } from './askables.ts';
import type { MemberLink } from './member-link.ts';
import type { Metering } from './metering.ts';
import { readinessOf } from './readiness.ts';

export interface ProxyViewParts {
  readonly fleet: Fleet;
  readonly plans: OwnPlans;
  readonly link: MemberLink;
  readonly metering: Metering;
  readonly about: About;
  /** Who it is. */
  readonly proxy: AskedProxy;
}

/** @param settings  with addresses of the control planes */
export function aboutProxy({ control }: { readonly control: readonly string[] }): About {
  const startedAt = new Date(systemClock.wallMs()).toISOString();
  const { version: node, pid } = process;
  return { version: ownVersion(), node, pid, source: control.join(', '), startedAt };
}

/** What a proxy knows of itself; what its configuration says of objects is known to the control plane. */
export function proxyView({ fleet, plans, link, metering, about, proxy }: ProxyViewParts): AdminView {
  return {
    readiness: () => readinessOf(fleet, plans.plan?.version),
    async metrics(accept) {
      await fleet.measure();
      return metering.expose(fleet.health(), accept);
    },
    status: () => ({ apiVersion: 'v1', kind: 'List', items: [] }),
    plan: () => plans.plan,
    problems: () => ({ version: plans.plan?.version, problems: [] }),
    about: () => about,
    stats: () => fleet.stats(),
    order: (filter, order) => fleet.order(filter, order),
    proxiesToAsk: onlyAskable({ ...proxy, ask: fleet.askTo }),
    certificates: async () => ({ orders: false, certificates: [], mesh: [link.standing().certificate] }),
    mesh: undefined,
    get member() {
      return link.standing();
    },
  };
}
