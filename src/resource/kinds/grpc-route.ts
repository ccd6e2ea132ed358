import { parentRefs, sectionName, useDefaultGateways } from '../fields.ts';
import { type Static, Type } from '../../schema/schema.ts';
import {
  backendRefFields,
  ExtensionRef,
  HTTPHeaderMatch,
  RequestHeaderModifier,
  RequestMirror,
  ResponseHeaderModifier,
  routeHostnames,
  SessionPersistence,
} from './http-route.ts';

const strict = { additionalProperties: false };

const GRPCMethodMatch = Type.Object(
  {
    type: Type.Enum(['Exact', 'RegularExpression'], {
      default: 'Exact',
      description: 'How service and method are compared; case counts.',
    }),
    service: Type.Optional(
      Type.String({
        maxLength: 1024,
        description: 'Full name of the service, such as `shop.v1.Cart`. Absent: every service.',
      }),
    ),
    method: Type.Optional(
      Type.String({ maxLength: 1024, description: 'Name of the method, such as `AddItem`. Absent: every method.' }),
    ),
  },
  strict,
);

const GRPCRouteMatch = Type.Object(
  {
    method: Type.Optional(GRPCMethodMatch),
    headers: Type.Array(HTTPHeaderMatch, {
      maxItems: 16,
      uniqueBy: ['name'],
      default: [],
      description: 'Metadata that must all match.',
    }),
  },
  { ...strict, description: 'Conditions that must all hold.' },
);
export type GRPCRouteMatch = Static<typeof GRPCRouteMatch>;

const filters = Type.Array(Type.Union([RequestHeaderModifier, ResponseHeaderModifier, RequestMirror, ExtensionRef]), {
  maxItems: 16,
  default: [],
  description: 'What is done to calls and their answers.',
});

const GRPCRouteRule = Type.Object(
  {
    name: Type.Optional(sectionName({ description: 'Name of the rule, unique in the route.' })),
    matches: Type.Array(GRPCRouteMatch, {
      maxItems: 64,
      default: [],
      description: 'The rule takes a call that any of these matches. Empty: every call.',
    }),
    filters,
    backendRefs: Type.Array(Type.Object({ ...backendRefFields, filters }, strict), {
      maxItems: 16,
      default: [],
      description: 'Where calls go, by weight.',
    }),
    sessionPersistence: Type.Optional(SessionPersistence),
  },
  strict,
);
export type GRPCRouteRule = Static<typeof GRPCRouteRule>;

export const GRPCRouteSpec = Type.Object(
  {
    parentRefs,
    useDefaultGateways,
    hostnames: routeHostnames,
    rules: Type.Array(GRPCRouteRule, {
      maxItems: 16,
      uniqueBy: ['name'],
      default: [{}],
      description: 'Rules, tried by precedence, not by order.',
    }),
  },
  strict,
);
export type GRPCRouteSpec = Static<typeof GRPCRouteSpec>;
