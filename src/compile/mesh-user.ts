/** Who the user is, from the gateway on: what gateways sign, and what sidecars believe. */
import { durationOr } from '../base/duration.ts';
import type { SignUserContextConfig, UserContextConfig } from '../filters/user-context/config.ts';
import type { PlanFilter } from '../ir/plan.ts';
import { describe, keyOf } from '../resource/resource.ts';
import type { BackendTarget } from './backend.ts';
import { placeOf } from './finding.ts';
import { isMember, meshOf, type MeshView } from './mesh.ts';
import type { AskedFilter } from './policies.ts';
import { NONE } from './settled.ts';
import type { Look } from './tables.ts';

const LIFETIME_MS = 60_000;

const FIELD = '/spec/userContext';

/** Where nobody wrote a Mesh. */
const OWNER = 'the mesh';

/** What a sidecar does with whatever comes. */
export function believedUsers(mesh: MeshView): AskedFilter {
  const { spec, roots, federation } = mesh;
  const { trustDomain: audience } = spec;
  const config: UserContextConfig = {
    audience,
    signers: signersOf(mesh),
    trust: Object.fromEntries([[audience, roots], ...federation.map(({ trustDomain, cas }) => [trustDomain, cas])]),
  };
  return { filter: 'userContext', config, owner: ownerOf(mesh), field: FIELD };
}

/** What a gateway does on its way to a service of the mesh; nothing where it leads to none, or nobody would believe it. */
export function signedUsers(
  target: BackendTarget,
  { look, places }: { readonly look: Look; readonly places: 'omit' | 'keep' },
): readonly PlanFilter[] {
  if (target.kind !== 'Service' || !isMember(look)) return NONE;
  if (look('sidecars', keyOf(target.resource)) === undefined) return NONE;
  const view = meshOf(look);
  if (signersOf(view).length === 0) return NONE;
  const { mesh, spec, federation } = view;
  const config: SignUserContextConfig = {
    audience: [spec.trustDomain, ...federation.map(({ trustDomain }) => trustDomain)],
    lifetimeMs: durationOr(spec.userContext?.lifetime, LIFETIME_MS),
    ...(spec.userContext?.claims !== undefined && { claims: spec.userContext.claims }),
  };
  const filter: PlanFilter = { filter: 'signUserContext', config, owner: ownerOf(view) };
  return [places === 'omit' || mesh === undefined ? filter : { ...filter, at: placeOf(mesh, FIELD) }];
}

function ownerOf({ mesh }: MeshView): string {
  return mesh === undefined ? OWNER : describe(mesh);
}

/**
 * Who may say who the user is: whom the Mesh names, else whoever serves a Gateway, in the process of the control plane or
 * on its own. Whoever writes Gateways and their policies decides who users are in any case.
 */
function signersOf({ spec: { trustDomain, userContext }, gateways, denied }: MeshView): string[] {
  const idOf = (path: string): string => `spiffe://${trustDomain}/${path}`;
  const from = userContext?.from ?? [CONTROL_PLANE_GATEWAY, ...gateways].map(idOf);
  return from.filter((id) => !denied.has(id));
}

/** Of the gateway that `fourways up` is. */
export const CONTROL_PLANE_GATEWAY = 'ns/fourways/sa/gateway';
