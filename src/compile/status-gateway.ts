/** Statuses of Gateways and ListenerSets and of their listeners. */
import type { PortFailure } from '../ir/port-state.ts';
import { GATEWAY_GROUP } from '../resource/fields.ts';
import { type Gateway, keyOf, type ListenerSet } from '../resource/resource.ts';
import type { Found } from './found.ts';
import { type Draft, fails, holds, holdsUnless } from './condition.ts';
import { DEFAULT_ADDRESS, type GatewayBase, type SetBase } from './gateways.ts';
import { listenerPort } from './ports.ts';
import { certificateConditions, isAwaiting } from './status-certificate.ts';
import { acknowledged } from './status-proxies.ts';
import type { ListenerBase, Reason } from './listener.ts';
import { type ServingProxy, type StatusWork, subjectOf } from './status-item.ts';

type Status = Readonly<Record<string, unknown>>;

export function gatewayStatus(base: GatewayBase, found: Found, work: StatusWork): Status {
  const { gateway, listeners } = base;
  const entries = listeners.map((listener) => new Entry(listener, { base, gateway: base, found, work }));
  const conditions = [
    acceptedOf(base.notAccepted, entries),
    keepWhilePending(gateway, programmedOf(base.notAccepted, entries), work),
    holdsUnless('ResolvedRefs', base.unresolved),
    ...(base.notAccepted === undefined ? acknowledged([keyOf(gateway)], work.runtime) : []),
    ...insecure(gateway),
  ];
  return {
    addresses: addressesOf(base, entries, work),
    attachedListenerSets: found.gateways.sets.filter((set) => set.gateway === base && isSetAccepted(set, found)).length,
    conditions: work.memory.stamp(subjectOf(gateway), conditions),
    listeners: entries.map((entry) => entry.status(gateway, work.attached.get(entry.listener.key) ?? 0)),
  };
}

export function listenerSetStatus(base: SetBase, found: Found, work: StatusWork): Status {
  const { set, listeners, gateway, notAccepted } = base;
  const entries = listeners.map((listener) => new Entry(listener, { base, gateway, found, work }));
  const programmed =
    notAccepted?.reason === 'ParentNotAccepted'
      ? fails('Programmed', { ...notAccepted, reason: 'ParentNotProgrammed' })
      : notAccepted !== undefined
        ? fails('Programmed', notAccepted)
        : programmedOf(entries.some((entry) => entry.valid) ? undefined : nothingValid(entries), entries);
  const conditions = [
    acceptedOf(notAccepted, entries),
    keepWhilePending(set, programmed, work),
    ...(notAccepted === undefined ? acknowledged([keyOf(gateway.gateway)], work.runtime) : []),
  ];
  return {
    conditions: work.memory.stamp(subjectOf(set), conditions),
    listeners: entries.map((entry) => entry.status(set, work.attached.get(entry.listener.key) ?? 0)),
  };
}

function isSetAccepted({ notAccepted, listeners }: SetBase, { gateways: { ports } }: Found): boolean {
  return notAccepted === undefined && listeners.some((listener) => ports.verdicts.get(listener)?.served === true);
}

interface PendingSockets {
  readonly state: 'pending';
  readonly message: string;
  /** Proxies that are to serve it. */
  readonly proxies: number;
}

/** State of the sockets of one listener: one for each address of its Gateway, on each proxy that serves it. */
type Sockets =
  | { readonly state: 'bound' }
  | PendingSockets
  | { readonly state: 'failed'; readonly failure: PortFailure };

interface EntryParts {
  readonly base: GatewayBase | SetBase;
  readonly gateway: GatewayBase;
  readonly found: Found;
  readonly work: StatusWork;
}

/** A listener with everything that its status is made of. */
class Entry {
  readonly listener: ListenerBase;
  /** In the plan. */
  readonly valid: boolean;
  readonly sockets: Sockets;
  readonly #parts: EntryParts;

  constructor(listener: ListenerBase, parts: EntryParts) {
    this.listener = listener;
    this.#parts = parts;
    this.valid = parts.found.gateways.ports.verdicts.get(listener)?.served === true;
    this.sockets = socketsOf(listener, parts);
  }

  /** Nothing is wrong with it, not even in part. */
  get sound(): boolean {
    return this.valid && this.listener.unresolved === undefined;
  }

  status(owner: Gateway | ListenerSet, attached: number): Status {
    const { listener } = this;
    const { name } = listener.spec;
    const { work } = this.#parts;
    const verdict = this.#parts.found.gateways.ports.verdicts.get(listener);
    const drafts = [
      holdsUnless('Accepted', verdict?.conflict ?? listener.notAccepted ?? this.#portFault()),
      keepWhilePending(owner, this.#programmed(), work, `listener ${name}`),
      holdsUnless('ResolvedRefs', listener.unresolved),
      verdict?.conflict === undefined
        ? fails('Conflicted', { reason: 'NoConflicts', message: '' })
        : holds('Conflicted', verdict.conflict),
      ...(verdict?.overlap === undefined ? [] : [holds('OverlappingTLSConfig', verdict.overlap)]),
      ...certificateConditions(listener, this.#parts.found.acme.refused.get(listener), work),
    ];
    return {
      name,
      supportedKinds: listener.kinds.map((kind) => ({ group: GATEWAY_GROUP, kind })),
      attachedRoutes: attached,
      conditions: work.memory.stamp(subjectOf(owner, `listener ${name}`), drafts),
    };
  }

  /** The port is the listener's own wish; an address that is not ours is the Gateway's. */
  #portFault(): Reason | undefined {
    if (this.sockets.state !== 'failed' || isAddressFault(this.sockets.failure)) return undefined;
    return { reason: 'PortUnavailable', message: this.sockets.failure.message };
  }

  #programmed(): Draft {
    const { listener, sockets } = this;
    const conflict = this.#parts.found.gateways.ports.verdicts.get(listener)?.conflict;
    if (conflict !== undefined) return fails('Programmed', conflict);
    if (!this.valid) return fails('Programmed', { reason: 'Invalid', message: this.#whyInvalid() });
    switch (sockets.state) {
      case 'bound':
        // Without a certificate nobody can be served, though the port is there.
        return isAwaiting(listener)
          ? fails('Programmed', { ...listener.unresolved!, reason: 'Pending' })
          : holds('Programmed');
      case 'pending':
        return pending(sockets);
      case 'failed':
        return fails('Programmed', { reason: 'Invalid', message: sockets.failure.message });
    }
  }

  #whyInvalid(): string {
    const { listener } = this;
    const { base, gateway } = this.#parts;
    const why = listener.notAccepted ?? base.notAccepted ?? gateway.notAccepted ?? listener.unresolved;
    return why?.message ?? 'The listener carries no kind of route';
  }
}

/** Drafts that say that a plan is on its way to proxies that serve the one before. */
const underWay = new WeakSet<Draft>();

function pending({ message, proxies }: PendingSockets): Draft {
  const draft = fails('Programmed', { reason: 'Pending', message });
  if (proxies > 0) underWay.add(draft);
  return draft;
}

const NOT_APPLIED = 'The proxies have not applied this configuration yet';

function isAddressFault({ error }: PortFailure): boolean {
  return error === 'EADDRNOTAVAIL';
}

/** Bound is what every proxy has bound; one that failed is said whatever the others have. */
function socketsOf({ spec }: ListenerBase, { gateway, work }: EntryParts): Sockets {
  const proxies = proxiesOf(gateway, work);
  let bound = 0;
  let failure: PortFailure | undefined;
  for (const { ports, state: progress } of proxies) {
    let isBound = progress === 'current';
    for (const address of gateway.addresses) {
      const state = ports[listenerPort(spec, address)];
      if (state?.state !== 'bound') isBound = false;
      if (state?.state === 'failed' && (failure === undefined || isAddressFault(state))) failure = state;
    }
    if (isBound) bound++;
  }
  if (failure !== undefined) {
    const message =
      proxies.length < 2 ? failure.message : `${failure.message} (${bound} of ${proxies.length} proxies serve it)`;
    return { state: 'failed', failure: { ...failure, message } };
  }
  if (bound === proxies.length && bound > 0) return { state: 'bound' };
  if (work.runtime.proxiesOf === undefined) return { state: 'pending', message: NOT_APPLIED, proxies: 1 };
  const { namespace, name } = gateway.gateway.metadata;
  const message =
    proxies.length === 0
      ? `No proxy serves it: start one with "fourways gateway --name ${namespace}/${name}"`
      : `${bound} of ${proxies.length} proxies serve it as it is now`;
  return { state: 'pending', message, proxies: proxies.length };
}

function proxiesOf({ gateway }: GatewayBase, { runtime, version }: StatusWork): readonly ServingProxy[] {
  const { bind, ports, appliedVersion } = runtime;
  const state = appliedVersion === version ? 'current' : 'behind';
  const own = { name: '', state, wanted: version, ports, bind } as const;
  return runtime.proxiesOf?.(keyOf(gateway)) ?? [own];
}

/**
 * While a plan is on its way to the proxies, what was said of this generation
 * of the object before goes on being true: nothing of it has been taken away.
 */
function keepWhilePending(owner: Gateway | ListenerSet, draft: Draft, { memory }: StatusWork, part = ''): Draft {
  if (!underWay.has(draft)) return draft;
  const known = memory.recall(subjectOf(owner, part), draft.type);
  if (known === undefined) return draft;
  const message = draft.message === NOT_APPLIED ? known.message : draft.message;
  return { type: known.type, status: known.status, reason: known.reason, message };
}

/** Gateway API: `ListenersNotValid` with True when some listeners work, with False when none does. */
function acceptedOf(notAccepted: Reason | undefined, entries: readonly Entry[]): Draft {
  if (notAccepted !== undefined) return fails('Accepted', notAccepted);
  if (!entries.some((entry) => entry.valid)) return fails('Accepted', nothingValid(entries));
  const unsound = entries.filter((entry) => !entry.sound).map(({ listener }) => `"${listener.spec.name}"`);
  if (unsound.length === 0) return holds('Accepted');
  return holds('Accepted', { reason: 'ListenersNotValid', message: `Not valid: listener ${unsound.join(', ')}` });
}

function nothingValid(entries: readonly Entry[]): Reason {
  const names = entries.map(({ listener }) => `"${listener.spec.name}"`).join(', ');
  return { reason: 'ListenersNotValid', message: `No listener is valid: ${names}` };
}

function programmedOf(notAccepted: Reason | undefined, entries: readonly Entry[]): Draft {
  const type = 'Programmed';
  if (notAccepted !== undefined) {
    const reason = notAccepted.reason === 'ListenersNotValid' ? 'ListenersNotValid' : 'Invalid';
    return fails(type, { reason, message: notAccepted.message });
  }
  const valid = entries.filter((entry) => entry.valid);
  if (valid.length === 0) return fails(type, { reason: 'Invalid', message: nothingValid(entries).message });
  const failures = valid.flatMap(({ sockets }) => (sockets.state === 'failed' ? [sockets.failure] : []));
  const worst = failures.find(isAddressFault) ?? failures[0];
  if (worst !== undefined) {
    return fails(type, { reason: isAddressFault(worst) ? 'AddressNotUsable' : 'Invalid', message: worst.message });
  }
  const waits = valid.find(({ sockets }) => sockets.state === 'pending')?.sockets;
  return waits?.state === 'pending' ? pending(waits) : holds(type);
}

/** GEP-91: letting clients in without a valid certificate must be seen. */
function insecure({ spec }: Gateway): Draft[] {
  const frontend = spec.tls?.frontend;
  const configs = frontend === undefined ? [] : [frontend.default, ...frontend.perPort.map(({ tls }) => tls)];
  if (!configs.some(({ validation }) => validation?.mode === 'AllowInsecureFallback')) return [];
  const message = 'Clients without a valid certificate are let in: mode is AllowInsecureFallback';
  return [holds('InsecureFrontendValidationMode', { reason: 'ConfigurationChanged', message })];
}

/** Addresses on which every port of the Gateway is bound: by every worker of some proxy. */
function addressesOf(base: GatewayBase, entries: readonly Entry[], work: StatusWork): object[] {
  if (base.notAccepted !== undefined) return [];
  const wanted = entries.filter((entry) => entry.valid).map(({ listener }) => listener.spec);
  if (wanted.length === 0) return [];
  const values = proxiesOf(base, work).flatMap(({ bind, ports }) =>
    base.addresses
      .filter((address) => wanted.every((spec) => ports[listenerPort(spec, address)]?.state === 'bound'))
      .map((address) => (address === DEFAULT_ADDRESS ? bind : address)),
  );
  return [...new Set(values)].filter((value) => value !== '').map((value) => ({ type: 'IPAddress', value }));
}
