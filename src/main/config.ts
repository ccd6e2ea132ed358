/**
 * The package export `fourways/config`: types and one function for
 * `fourways.config.ts`. The words are those of the short form, and come from its
 * schema (source/short/schema.ts); this file only makes names typed.
 */
import type { LoweredBackend, LoweredFile, LoweredSecret } from '../filter/env.ts';
import type { AnyDefinedFilter } from '../filter/own.ts';
import type { FILTERS } from '../filters/list.ts';
import type { OwnEntry } from '../filters/own/config.ts';
import type { Static } from '../schema/schema.ts';
import type { Resource, ResourceKind, ResourceOf } from '../resource/resource.ts';
import type { Route, Service, ShortForm } from '../source/short/schema.ts';

/** What may be written: lists may be read-only. */
type Written<T> = T extends readonly (infer Item)[]
  ? readonly Written<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: Written<T[Key]> }
    : T;

/** What a manifest says where a filter gets what it refers to (filter/references.ts). */
interface SecretRef {
  /** Secret in the namespace of the policy. */
  readonly name: string;
  readonly key: string;
}

interface BackendRef {
  readonly kind?: 'Service' | 'Backend';
  readonly name: string;
  readonly namespace?: string;
  readonly port?: number;
}

/** As {@link Written}, where the schema fills in what is left out and says what may not be. */
type Partly<T> = T extends LoweredSecret
  ? SecretRef
  : T extends LoweredBackend
    ? BackendRef
    : T extends LoweredFile
      ? string
      : T extends readonly (infer Item)[]
        ? readonly Partly<Item>[]
        : T extends object
          ? { readonly [Key in keyof T]?: Partly<T[Key]> }
          : T;

/** A filter of your own: what `defineFilter` made, or the name of a module. */
export type OwnUse =
  | AnyDefinedFilter
  | (Omit<Partly<OwnEntry>, 'module' | 'secrets' | 'upstreams' | 'options'> & {
      readonly module: AnyDefinedFilter | string;
      readonly options?: unknown;
      readonly secrets?: Readonly<Record<string, SecretRef>>;
      readonly upstreams?: Readonly<Record<string, BackendRef>>;
    });

/** Filters by name, each with its configuration. */
export type Filters = {
  readonly [D in (typeof FILTERS)[number] as D['name']]?: D['name'] extends 'own'
    ? readonly OwnUse[] | { readonly use: readonly OwnUse[] }
    : Partly<Static<D['config']>>;
};

/** The name of a service, or an address. */
export type Target<ServiceName extends string> = ServiceName | `${Scheme}://${string}`;

type Scheme = 'http' | 'https' | 'tcp' | 'tls' | 'udp';

type Weighted<ServiceName extends string> = { readonly to: Target<ServiceName>; readonly weight?: number };
type Mirrored<ServiceName extends string> = { readonly to: Target<ServiceName>; readonly percent?: number };

export interface ConfigRoute<
  ServiceName extends string,
  PolicyName extends string,
  RouteName extends string,
> extends Written<Omit<Route, 'name' | 'to' | 'mirror' | 'policies'>> {
  /** Name of the route, in logs and metrics. Default: made from its match. */
  readonly name?: RouteName;
  /** Where requests (below HTTP: connections, datagrams) go; several share them by weight. */
  readonly to?: Target<ServiceName> | readonly (Target<ServiceName> | Weighted<ServiceName>)[];
  /** Send a copy of each request there; its answer is thrown away. */
  readonly mirror?:
    | Target<ServiceName>
    | Mirrored<ServiceName>
    | readonly (Target<ServiceName> | Mirrored<ServiceName>)[];
  /** Policies for this route, by name or written out. */
  readonly policies?: readonly (PolicyName | Filters)[];
}

interface ManifestMetadata {
  readonly name: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

interface SecretManifest {
  readonly apiVersion: 'v1';
  readonly kind: 'Secret';
  readonly metadata: ManifestMetadata;
  readonly type?: string;
  /** In base64. */
  readonly data?: Readonly<Record<string, string>>;
  readonly stringData?: Readonly<Record<string, string>>;
}

type ManifestOf<Kind extends ResourceKind> = {
  readonly apiVersion: string;
  readonly kind: Kind;
  readonly metadata: ManifestMetadata;
} & Partly<Omit<ResourceOf<Kind>, keyof Pick<Resource, 'apiVersion' | 'kind' | 'metadata' | 'origin'>>>;

/** A resource as in a manifest. What a schema demands beyond this is checked when it is read. */
export type ResourceManifest =
  | SecretManifest
  | { [Kind in Exclude<ResourceKind, 'Secret'>]: ManifestOf<Kind> }[Exclude<ResourceKind, 'Secret'>];

export interface Config<
  ServiceName extends string = string,
  PolicyName extends string = string,
  RouteName extends string = string,
> {
  /** Where to listen: a port, an address such as "127.0.0.1:8080", an object, or a list of them. Default: 8080. */
  readonly listen?: Written<NonNullable<ShortForm['listen']>>;
  /** Upstreams by name. */
  readonly services?: { readonly [Name in ServiceName]: Written<Service> };
  /** Which requests go where. The most specific match wins; of equals, the first. */
  readonly routes?: readonly ConfigRoute<NoInfer<ServiceName>, NoInfer<PolicyName>, RouteName>[];
  /** Filters by the name that routes use. */
  readonly policies?: { readonly [Name in PolicyName]: Filters };
  /** Policies for every route, by name or written out. */
  readonly everywhere?: readonly (NoInfer<PolicyName> | Filters)[];
  /** Settings of the listeners: limits, timeouts, trusted hops, access log. */
  readonly settings?: Partly<NonNullable<ShortForm['settings']>>;
  /** Gateway API resources, as in manifests. */
  readonly resources?: readonly ResourceManifest[];
}

/** Names of the services of a configuration: `ServiceNameOf<typeof config>`. */
export type ServiceNameOf<C> = C extends Config<infer Name, string, string> ? Name : never;

/** Names that the routes of a configuration were given. */
export type RouteNameOf<C> = C extends Config<string, string, infer Name> ? Name : never;

/**
 * Types a configuration: `to` takes only the names under `services`, `policies`
 * of a route only those under `policies`.
 *
 * ```ts
 * export default defineConfig({
 *   services: { users: 'http://127.0.0.1:3001' },
 *   routes: [{ match: '/users', to: 'users' }],
 * });
 * ```
 *
 * @returns its argument
 */
export function defineConfig<
  const ServiceName extends string = never,
  const PolicyName extends string = never,
  const RouteName extends string = never,
>(config: Config<ServiceName, PolicyName, RouteName>): Config<ServiceName, PolicyName, RouteName> {
  return config;
}
