/** Which listener of its port a request is for: as its host, its server name or its authority says. */
import { Fault } from '../base/fault.ts';
import { mayBeService } from '../base/service-name.ts';
import { serviceNameOf } from '../http/proxy-target.ts';
import type { ServerStream } from '../http/stream.ts';
import type { ListenerView, PortView } from './runtime.ts';

/** RFC 9110 section 4.2.1. */
const HTTP_PORT = 80;

export function listenerFor(view: PortView, { facts, request }: ServerStream): ListenerView | Fault {
  const { listeners } = view;
  if (view.byAuthority) return serviceFor(view, facts.tunnelTo ?? serviceNameOf(request.authority, HTTP_PORT));
  if (facts.scheme === 'https') {
    const named = listeners.find(facts.serverName);
    if (named?.plan.chosenBy === 'server-name') return named;
    // The server name of the handshake chose a certificate, and perhaps a check of the client: a request for
    // another listener must not ride on it (RFC 9110 section 7.4).
    if (listeners.find(request.host) !== named) {
      return new Fault('request.misdirected', 'Host and TLS server name belong to different listeners');
    }
    return named ?? noListener();
  }
  return listeners.find(request.host) ?? noListener();
}

/** @param name  with its port; undefined for an authority that cannot be read */
export function serviceFor({ listeners }: PortView, name: string | undefined): ListenerView | Fault {
  const listener = name === undefined ? undefined : listeners.find(name);
  return listener ?? unknownName(name);
}

/** @param name  with its port; undefined for an authority that cannot be read */
export function unknownName(name = ''): Fault {
  if (name === '' || mayBeService(name.replace(/:\d+$/, ''))) {
    return new Fault('mesh.service-unknown', `No service has the name "${name}"`);
  }
  return new Fault('mesh.egress-denied', `No route of an egress gateway is for "${name}"`);
}

function noListener(): Fault {
  return new Fault('route.none', 'No listener takes this host');
}
