/** Every path of the admin API. Those of GET change nothing. */
import { cacheReport, purgeCache } from './cache.ts';
import type { CallQuestion } from '../../compile/mesh-calls.ts';
import type { Clock } from '../../base/clock.ts';
import type { LineTaker } from './answer-stream.ts';
import { SURVEY_ROUTES } from './survey-routes.ts';
import { RECORD_ROUTES } from './record-routes.ts';
import { TRUST_ROUTES } from './trust-routes.ts';
import { NO_MESH } from './no-mesh.ts';
import type { AdminView, TokenWish } from './view.ts';

export interface Route {
  readonly path: string;
  /** GET when left out, with HEAD. POST takes JSON. */
  readonly method?: 'POST';
  readonly summary: string;
  /** Media types that it can answer with; the first is the default. */
  readonly types: readonly string[];
  answer(view: AdminView, asked: Asked): Promise<Content> | Content;
}

export interface Asked {
  readonly accept: string | undefined;
  /** What a POST brings: an object. Of GET an empty one. */
  readonly body: object;
  readonly query: URLSearchParams;
}

/** Says lines until it has ended them. @returns takes it back: nobody reads any more */
export type LineSource = (to: LineTaker, clock: Clock) => () => void;

export type Content =
  | { readonly status: 200 | 503; readonly json: object }
  | { readonly status: 200; readonly contentType: string; readonly text: string }
  | { readonly status: 200; readonly contentType: string; readonly begin: LineSource }
  | { readonly status: 400 | 404; readonly detail: string };

const JSON_TYPES = ['application/json'] as const;

/** The two forms of the Prometheus text (observe/exposition.ts). */
const METRIC_TYPES = ['text/plain', 'application/openmetrics-text'] as const;

/** Of the reason for which an identity is denied: it is shown in lists. */
const REASON_CHARS_MAX = 500;

export const ROUTES: readonly Route[] = [
  {
    path: '/',
    summary: 'This list',
    types: JSON_TYPES,
    answer: () => ok({ paths: ROUTES.map(({ path, method = 'GET', summary }) => ({ path, method, summary })) }),
  },
  {
    path: '/healthz',
    summary: 'The process lives',
    types: JSON_TYPES,
    answer: () => ok({ status: 'ok' }),
  },
  {
    path: '/readyz',
    summary: '200 when a plan is applied on every worker, 503 otherwise',
    types: JSON_TYPES,
    answer(view) {
      const readiness = view.readiness();
      return { status: readiness.ready ? 200 : 503, json: readiness };
    },
  },
  {
    path: '/metrics',
    summary: 'Metrics for Prometheus',
    types: METRIC_TYPES,
    async answer(view, { accept }) {
      const { contentType, body } = await view.metrics(accept);
      return { status: 200, contentType, text: body };
    },
  },
  {
    path: '/status',
    summary: 'Every object with its status, as a Kubernetes List',
    types: JSON_TYPES,
    answer: (view) => ok(view.status()),
  },
  {
    path: '/plan',
    summary: 'The plan that is served, without secrets',
    types: JSON_TYPES,
    answer(view) {
      const plan = view.plan();
      return plan === undefined ? { status: 404, detail: 'No plan is applied yet' } : ok(plan);
    },
  },
  {
    path: '/problems',
    summary: 'Problems of the configuration that was read last',
    types: JSON_TYPES,
    answer: (view) => ok(view.problems()),
  },
  {
    path: '/endpoints',
    summary: 'Workers with their connections, and the endpoints of every cluster',
    types: JSON_TYPES,
    answer: async (view) => ok(await view.stats()),
  },
  {
    path: '/certificates',
    summary: 'Every certificate that is served or awaited, and where what is ordered is kept',
    types: JSON_TYPES,
    answer: async (view) => ok(await view.certificates()),
  },
  {
    path: '/mesh',
    summary: 'How the mesh is: control plane, store, authority, proxies and services',
    types: JSON_TYPES,
    answer: ({ mesh }) => (mesh === undefined ? NO_MESH : ok(mesh.summary())),
  },
  {
    path: '/proxies',
    summary: 'Proxies of the mesh that are connected',
    types: JSON_TYPES,
    answer: ({ mesh }) => (mesh === undefined ? NO_MESH : ok({ proxies: mesh.proxies() })),
  },
  {
    path: '/member',
    summary: 'Who this proxy is in its mesh, and how it stands with its control planes',
    types: JSON_TYPES,
    answer: ({ member }) =>
      member === undefined ? { status: 404, detail: 'The plan of this Fourways is its own' } : ok(member),
  },
  {
    path: '/calls',
    method: 'POST',
    summary:
      'Plans of both ends of a call through the mesh: { from?: { namespace, host }, services: ["Service/NS/NAME"] }',
    types: JSON_TYPES,
    answer({ mesh }, { body }) {
      if (mesh === undefined) return NO_MESH;
      const question = callQuestion(body);
      if (typeof question === 'string') return { status: 400, detail: question };
      const answer = mesh.calls(question);
      return answer === undefined ? { status: 404, detail: 'No plan is applied yet' } : ok(answer);
    },
  },
  {
    path: '/tokens',
    method: 'POST',
    summary: 'Makes a token to join the mesh with: { namespace, account, uses, lastsMs }',
    types: JSON_TYPES,
    async answer({ mesh }, { body }) {
      if (mesh === undefined) return NO_MESH;
      const wish = tokenWish(body);
      const made = typeof wish === 'string' ? wish : await mesh.createToken(wish);
      return typeof made === 'string' ? { status: 400, detail: made } : ok(made);
    },
  },
  {
    path: '/mesh/denied',
    summary: 'Identities of the mesh that are denied by hand: those that its Mesh denies are in /plan',
    types: JSON_TYPES,
    answer: ({ mesh }) => (mesh === undefined ? NO_MESH : ok({ denied: mesh.denied() })),
  },
  {
    path: '/mesh/deny',
    method: 'POST',
    summary: 'Denies an identity from now on, also to those that are connected: { identity, reason? }',
    types: JSON_TYPES,
    async answer({ mesh }, { body }) {
      if (mesh === undefined) return NO_MESH;
      const { identity, reason = '' } = body as Partial<Record<'identity' | 'reason', unknown>>;
      if (typeof identity !== 'string' || typeof reason !== 'string')
        return badRequest('Expected "identity" as a text');
      if (reason.length > REASON_CHARS_MAX) return badRequest(`"reason" has more than ${REASON_CHARS_MAX} characters`);
      const flaw = await mesh.deny(identity, reason);
      return flaw === undefined ? ok({ denied: mesh.denied() }) : badRequest(flaw);
    },
  },
  {
    path: '/mesh/allow',
    method: 'POST',
    summary: 'Denies an identity no more: { identity }',
    types: JSON_TYPES,
    async answer({ mesh }, { body }) {
      if (mesh === undefined) return NO_MESH;
      const { identity } = body as Partial<Record<'identity', unknown>>;
      if (typeof identity !== 'string') return badRequest('Expected "identity" as a text');
      return (await mesh.allow(identity)) ? ok({ denied: mesh.denied() }) : badRequest(`"${identity}" is not denied`);
    },
  },
  ...TRUST_ROUTES,
  ...RECORD_ROUTES,
  ...SURVEY_ROUTES,
  {
    path: '/cache',
    summary: 'What caches hold, by policy',
    types: JSON_TYPES,
    answer: async (view) => ok(await cacheReport(view)),
  },
  {
    path: '/cache/purge',
    method: 'POST',
    summary: 'Forgets stored answers: { by: "url" | "prefix" | "tag" | "all", value?, policy? }',
    types: JSON_TYPES,
    async answer(view, { body }) {
      const report = await purgeCache(view, body);
      return typeof report === 'string' ? { status: 400, detail: report } : ok(report);
    },
  },
  {
    path: '/version',
    summary: 'What is running',
    types: JSON_TYPES,
    answer: (view) => ok(view.about()),
  },
];

function tokenWish(body: object): TokenWish | string {
  const { namespace, account, uses, lastsMs } = body as Partial<Record<keyof TokenWish, unknown>>;
  if (typeof namespace !== 'string' || typeof account !== 'string')
    return 'Expected "namespace" and "account" as texts';
  if (typeof uses !== 'number' || typeof lastsMs !== 'number') return 'Expected "uses" and "lastsMs" as numbers';
  return { namespace, account, uses, lastsMs };
}

function badRequest(detail: string): Content {
  return { status: 400, detail };
}

function callQuestion(body: object): CallQuestion | string {
  const { from, services = [] } = body as Partial<Record<keyof CallQuestion, unknown>>;
  if (!Array.isArray(services) || !services.every((one) => typeof one === 'string')) {
    return 'Expected "services" as a list of texts';
  }
  if (from === undefined) return { services };
  const { namespace, host } = { ...(from as Partial<Record<'namespace' | 'host', unknown>>) };
  if (typeof namespace !== 'string' || typeof host !== 'string') {
    return 'Expected "from" with "namespace" and "host" as texts';
  }
  return { from: { namespace, host }, services };
}

function ok(json: object): Content {
  return { status: 200, json };
}
