/** Paths of the admin API about the trust of a mesh. */
import type { RotationKind } from '../../identity/rotation.ts';
import type { Asked, Content, Route } from './routes.ts';
import type { TrustView } from './trust-view.ts';
import { NO_MESH } from './no-mesh.ts';
import type { AdminView } from './view.ts';

const JSON_TYPES = ['application/json'] as const;
const PHASE_MS_MAX = 3_600_000;

/** Each answers with where the rotation stands, after what was asked for. */
export const TRUST_ROUTES: readonly Route[] = [
  {
    path: '/mesh/roots',
    summary: 'Roots of the trust domain, as other meshes take them in `federation`',
    types: JSON_TYPES,
    answer: ({ mesh }) => (mesh === undefined ? NO_MESH : { status: 200, json: mesh.trust.roots() }),
  },
  {
    path: '/mesh/rotation',
    summary: 'Where the rotation of the authority of the mesh stands, who is waited for, and the last drill',
    types: JSON_TYPES,
    answer: (view) => afterwards(view, () => undefined),
  },
  {
    path: '/mesh/rotate',
    method: 'POST',
    summary: 'Begins a rotation: { kind: "issuer" | "root", pace?: "at-once" }',
    types: JSON_TYPES,
    answer(view, { body }) {
      const { kind, pace = 'spread-out' } = body as Partial<Record<'kind' | 'pace', unknown>>;
      if (!isKind(kind)) return { status: 400, detail: 'Expected "kind" as "issuer" or "root"' };
      if (pace !== 'at-once' && pace !== 'spread-out') return { status: 400, detail: 'Expected "pace" as "at-once"' };
      return afterwards(view, (trust) => trust.rotate(kind, pace));
    },
  },
  {
    path: '/mesh/rotate/cancel',
    method: 'POST',
    summary: 'Takes a rotation back, as long as the new one has issued nothing',
    types: JSON_TYPES,
    answer: (view) => afterwards(view, (trust) => trust.cancel()),
  },
  {
    path: '/mesh/drill',
    method: 'POST',
    summary: 'Begins a drill, a rotation of issuer and root at once: { phaseMs? }',
    types: JSON_TYPES,
    answer: (view, asked) => drill(view, asked),
  },
  {
    path: '/mesh/drill/abort',
    method: 'POST',
    summary: 'Ends the drill that runs, in a good state',
    types: JSON_TYPES,
    answer: (view) => afterwards(view, (trust) => trust.abortDrill()),
  },
];

function drill(view: AdminView, { body }: Asked): Promise<Content> | Content {
  const { phaseMs } = body as { readonly phaseMs?: unknown };
  if (phaseMs === undefined) return afterwards(view, (trust) => trust.drill(undefined));
  if (typeof phaseMs !== 'number' || !(phaseMs >= 1) || phaseMs > PHASE_MS_MAX) {
    return { status: 400, detail: `Expected "phaseMs" from 1 to ${PHASE_MS_MAX}` };
  }
  return afterwards(view, (trust) => trust.drill(phaseMs));
}

async function afterwards(
  { mesh }: AdminView,
  act: (trust: TrustView) => Promise<string | undefined> | string | undefined,
): Promise<Content> {
  if (mesh === undefined) return NO_MESH;
  const flaw = await act(mesh.trust);
  return flaw === undefined ? { status: 200, json: await mesh.trust.rotation() } : { status: 400, detail: flaw };
}

function isKind(kind: unknown): kind is RotationKind {
  return kind === 'issuer' || kind === 'root';
}
