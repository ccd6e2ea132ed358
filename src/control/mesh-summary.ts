/** How the mesh is, in a few lines: what `fourways status` begins with. */
import type { ServiceRow } from '../compile/mesh-calls.ts';
import type { Authority } from '../identity/authority.ts';
import type { Rotation } from '../identity/rotation.ts';
import type { ListedProxy } from './shared-proxies.ts';
import type { ControlRow } from './shared-registry.ts';

export interface MeshSummary {
  readonly trustDomain: string;
  /** This control plane. */
  readonly control: {
    /** `HOST:PORT` where proxies connect. */
    readonly listen: string;
    /** Whether it does what one at a time does. */
    readonly leads: boolean;
  };
  /** All that share its store; this one first. */
  readonly controls: readonly ControlRow[];
  readonly store: { readonly name: string; readonly state: 'open' | 'away'; readonly reason: string };
  readonly authority: {
    readonly root: AuthorityEnd;
    readonly issuer: AuthorityEnd;
    /** Absent at rest. */
    readonly rotation?: {
      readonly kind: 'root' | 'issuer';
      readonly phase: Rotation['phase'];
      /** RFC 3339. */
      readonly since: string;
    };
    /** Identities that nothing is done for. */
    readonly denied: number;
  };
  /** Of all that are connected to one of them. */
  readonly proxies: {
    readonly connected: number;
    /** That serve the plan that they should. */
    readonly current: number;
    readonly behind: number;
    readonly refusing: number;
  };
  readonly services: readonly ServiceRow[];
}

interface AuthorityEnd {
  /** SHA-256 of the certificate. */
  readonly id: string;
  /** RFC 3339. */
  readonly until: string;
}

export interface SummaryParts {
  readonly listen: string;
  readonly leads: boolean;
  readonly controls: readonly ControlRow[];
  readonly store: MeshSummary['store'];
  readonly authority: Pick<Authority, 'current'>;
  readonly proxies: readonly ListedProxy[];
  readonly services: readonly ServiceRow[];
}

export function meshSummary(parts: SummaryParts): MeshSummary {
  const { listen, leads, controls, store, authority, proxies, services } = parts;
  const { kept, root, issuer } = authority.current;
  const { rotation } = kept.state;
  const refusing = proxies.filter(({ refused }) => refused !== undefined).length;
  const behind = proxies.filter(({ refused, lagMs }) => refused === undefined && lagMs > 0).length;
  return {
    trustDomain: kept.trustDomain,
    control: { listen, leads },
    controls,
    store: { name: store.name, state: store.state, reason: store.reason },
    authority: {
      root: endOf(root),
      issuer: endOf(issuer),
      ...(rotation !== undefined && {
        rotation: {
          kind: rotation.from.root === rotation.to.root ? 'issuer' : 'root',
          phase: rotation.phase,
          since: new Date(rotation.sinceMs).toISOString(),
        },
      }),
      denied: kept.denials.length,
    },
    proxies: { connected: proxies.length, current: proxies.length - refusing - behind, behind, refusing },
    services,
  };
}

function endOf({ id, notAfterMs }: { readonly id: string; readonly notAfterMs: number }): AuthorityEnd {
  return { id, until: new Date(notAfterMs).toISOString() };
}
